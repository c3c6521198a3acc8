//! A body that a rule allows.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "body-allowed",
    family: Family::Http,
    name: "A body that a rule allows",
    tries: "Sends a text without the word that the rule on bodies refuses. It must pass.",
    danger: "A guard that is in the way of what is allowed will be switched off.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Proxy, &[Made("POST bodies.test: a text", || post(b"a text"))])],
    expect: Expect {
        arrives: &["POST / bodies.test"],
        asks: &["bodies.test"],
        reaches: FRONT_WEB,
        refusals: &[],
        ..NOTHING
    },
    on_host: None,
};

fn post(body: &[u8]) -> Vec<u8> {
    let head =
        format!("POST http://bodies.test/ HTTP/1.1\r\nHost: bodies.test\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}
