//! A carriage return within a field.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "bare-carriage-return",
    family: Family::Http,
    name: "A carriage return within a field",
    tries: "Hides a field behind a carriage return within another.",
    danger: "One reader takes it as one thing and the next as another: what was judged is then not what is served.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Named("allowed.test", 80),
        &[Bytes(b"GET / HTTP/1.1\r\nHost: allowed.test\r\nX-A: a\rHost: evil.test\r\n\r\n")],
    )],
    expect: Expect { asks: &["allowed.test"], refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
