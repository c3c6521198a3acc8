//! A body in three codings.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "body-in-three-codings",
    family: Family::Http,
    name: "A body in three codings",
    tries: "Sends the word in gzip in gzip in gzip.",
    danger: "A rule that reads bodies is worth nothing where a coding hides them.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[Made("POST bodies.test in gzip, three times: a secret", || {
            post(&coded::gzip(&coded::gzip(&coded::gzip(b"a secret"))))
        })],
    )],
    expect: Expect { asks: &["bodies.test"], refusals: &[refusal("http", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};

fn post(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST http://bodies.test/ HTTP/1.1\r\nHost: bodies.test\r\nContent-Encoding: gzip\r\nContent-Encoding: gzip, gzip\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
