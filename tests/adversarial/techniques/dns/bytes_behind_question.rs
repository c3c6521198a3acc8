//! Bytes behind the question.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "bytes-behind-question",
    family: Family::Dns,
    name: "Bytes behind the question",
    tries: "Sends a question for an allowed name that no cache has, with a secret behind its end.",
    danger: "Who passes messages on passes on what nobody looked at.",
    places: Places::Everywhere,
    steps: &[Step::Udp(
        Resolver,
        Made("fresh.test A, then the bytes `a secret`", || [query(9, "fresh.test", A), b"a secret".to_vec()].concat()),
    )],
    expect: Expect { refusals: &[refusal("dns", "default", "malformed_query")], ..NOTHING },
    on_host: None,
};
