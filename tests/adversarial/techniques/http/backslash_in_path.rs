//! A path with a backslash.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "backslash-in-path",
    family: Family::Http,
    name: "A path with a backslash",
    tries: "Asks for /ok/..\\\\secret.",
    danger: "Some servers take it for a slash.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Named("allowed.test", 80),
        &[Bytes(b"GET /ok/..\\secret HTTP/1.1\r\nHost: allowed.test\r\n\r\n")],
    )],
    expect: Expect { asks: &["allowed.test"], refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
