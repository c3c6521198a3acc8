//! A path with dots.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "dot-segments",
    family: Family::Http,
    name: "A path with dots",
    tries: "Asks for /ok/../secret.",
    danger: "The rule sees a path below /ok/, the server one beside it.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Named("allowed.test", 80),
        &[Bytes(b"GET /ok/../secret HTTP/1.1\r\nHost: allowed.test\r\n\r\n")],
    )],
    expect: Expect { asks: &["allowed.test"], refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
