//! A request with two Host fields.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "two-hosts",
    family: Family::Http,
    name: "A request with two Host fields",
    tries: "Names the allowed host first and its neighbour second.",
    danger: "The proxy judges one of them, the server may answer for the other.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Named("allowed.test", 80),
        &[Bytes(b"GET / HTTP/1.1\r\nHost: allowed.test\r\nHost: evil.test\r\n\r\n")],
    )],
    expect: Expect { asks: &["allowed.test"], refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
