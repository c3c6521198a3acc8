//! A host with a user before it.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "host-with-user",
    family: Family::Http,
    name: "A host with a user before it",
    tries: "Sends the Host field allowed.test@evil.test.",
    danger: "One reader takes what stands before the sign for the host, the next what stands behind.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Named("allowed.test", 80), &[Bytes(b"GET / HTTP/1.1\r\nHost: allowed.test@evil.test\r\n\r\n")])],
    expect: Expect { asks: &["allowed.test"], refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
