//! A body that is too large to be read.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "body-oversized",
    family: Family::Http,
    name: "A body that is too large to be read",
    tries: "Sends 2 MiB of text, the word at the end.",
    danger: "What is not read must not pass as if it had been.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[Made("POST bodies.test: 2 MiB, then: a secret", || {
            post(&[vec![b'x'; 2 << 20], b"a secret".to_vec()].concat())
        })],
    )],
    expect: Expect { asks: &["bodies.test"], refusals: &[refusal("http", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};

fn post(body: &[u8]) -> Vec<u8> {
    let head =
        format!("POST http://bodies.test/ HTTP/1.1\r\nHost: bodies.test\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}
