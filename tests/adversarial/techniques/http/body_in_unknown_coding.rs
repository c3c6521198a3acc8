//! A body in an unknown coding.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "body-in-unknown-coding",
    family: Family::Http,
    name: "A body in an unknown coding",
    tries: "Sends the word in a coding that nobody knows.",
    danger: "A rule that reads bodies is worth nothing where a coding hides them.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Proxy, &[Made("POST bodies.test in x-secret: n frperg", || post(b"n frperg"))])],
    expect: Expect { asks: &["bodies.test"], refusals: &[refusal("http", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};

fn post(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST http://bodies.test/ HTTP/1.1\r\nHost: bodies.test\r\nContent-Encoding: x-secret\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
