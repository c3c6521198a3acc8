//! A body that a rule refuses.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "body-refused",
    family: Family::Http,
    name: "A body that a rule refuses",
    tries: "Sends a text with the word that the rule on bodies refuses.",
    danger: "What leaves in a body is most of what could leave.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Proxy, &[Made("POST bodies.test: a secret", || post(b"a secret"))])],
    expect: Expect { asks: &["bodies.test"], refusals: &[refusal("http", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};

fn post(body: &[u8]) -> Vec<u8> {
    let head =
        format!("POST http://bodies.test/ HTTP/1.1\r\nHost: bodies.test\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}
