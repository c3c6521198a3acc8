//! An answer where a question belongs.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "answer-as-question",
    family: Family::Dns,
    name: "An answer where a question belongs",
    tries: "Sends a message about an allowed name that is no plain question.",
    danger: "Who passes on what he does not understand does not know what he passed on.",
    places: Places::Everywhere,
    steps: &[Step::Udp(
        Resolver,
        Made("the question for allowed.test with the bit of answers set", || {
            question::with_byte("allowed.test", 2, 0x81)
        }),
    )],
    expect: Expect { refusals: &[refusal("dns", "default", "malformed_query")], ..NOTHING },
    on_host: None,
};
