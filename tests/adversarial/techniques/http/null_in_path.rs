//! A path with an escaped null byte.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "null-in-path",
    family: Family::Http,
    name: "A path with an escaped null byte",
    tries: "Asks for /ok%00/../secret.",
    danger: "Readers that stop at a null byte see another path.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Named("allowed.test", 80),
        &[Bytes(b"GET /ok%00/secret HTTP/1.1\r\nHost: allowed.test\r\n\r\n")],
    )],
    expect: Expect { asks: &["allowed.test"], refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
