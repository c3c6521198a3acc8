//! A host with an escape in it.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "host-with-escape",
    family: Family::Http,
    name: "A host with an escape in it",
    tries: "Sends the Host field allowed%2etest.",
    danger: "One reader takes it as one thing and the next as another: what was judged is then not what is served.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Named("allowed.test", 80), &[Bytes(b"GET / HTTP/1.1\r\nHost: allowed%2etest\r\n\r\n")])],
    expect: Expect { asks: &["allowed.test"], refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
