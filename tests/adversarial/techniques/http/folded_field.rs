//! A field over two lines.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "folded-field",
    family: Family::Http,
    name: "A field over two lines",
    tries: "Continues a field on a line that begins with a blank.",
    danger: "One reader takes it as one thing and the next as another: what was judged is then not what is served.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Named("allowed.test", 80),
        &[Bytes(b"GET / HTTP/1.1\r\nHost: allowed.test\r\nX-A: 1\r\n Host: evil.test\r\n\r\n")],
    )],
    expect: Expect { asks: &["allowed.test"], refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
