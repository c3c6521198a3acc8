//! A path with a fragment.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "fragment-in-path",
    family: Family::Http,
    name: "A path with a fragment",
    tries: "Asks for /ok#/secret.",
    danger: "One reader takes it as one thing and the next as another: what was judged is then not what is served.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Named("allowed.test", 80), &[Bytes(b"GET /ok#/secret HTTP/1.1\r\nHost: allowed.test\r\n\r\n")])],
    expect: Expect { asks: &["allowed.test"], refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
