//! A body in two codings.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "body-in-two-codings",
    family: Family::Http,
    name: "A body in two codings",
    tries: "Sends the word in gzip in brotli.",
    danger: "A rule that reads bodies is worth nothing where a coding hides them.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[Made("POST bodies.test in br around gzip: a secret", || post(&coded::brotli(&coded::gzip(b"a secret"))))],
    )],
    expect: Expect { asks: &["bodies.test"], refusals: &[refusal("http", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};

fn post(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST http://bodies.test/ HTTP/1.1\r\nHost: bodies.test\r\nContent-Encoding: gzip, br\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
