//! A body that is not in its coding.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "body-in-false-coding",
    family: Family::Http,
    name: "A body that is not in its coding",
    tries: "Sends the word as it is and says that it is in gzip.",
    danger: "Servers that do not know a coding take the bytes as they are.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Proxy, &[Made("POST bodies.test, said to be in gzip: a secret", || post(b"a secret"))])],
    expect: Expect { asks: &["bodies.test"], refusals: &[refusal("http", "default", "body_decode_failed")], ..NOTHING },
    on_host: None,
};

fn post(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST http://bodies.test/ HTTP/1.1\r\nHost: bodies.test\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
