//! A blank before the colon.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "blank-before-colon",
    family: Family::Http,
    name: "A blank before the colon",
    tries: "Writes a blank between the name Host and its colon.",
    danger: "One reader takes it as one thing and the next as another: what was judged is then not what is served.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Named("allowed.test", 80),
        &[Bytes(b"GET / HTTP/1.1\r\nHost : evil.test\r\nHost: allowed.test\r\n\r\n")],
    )],
    expect: Expect { asks: &["allowed.test"], refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
