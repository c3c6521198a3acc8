//! A body that is a bomb.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "body-bomb",
    family: Family::Http,
    name: "A body that is a bomb",
    tries: "Sends 30 KB of gzip that stand for 5 MB.",
    danger: "A guard that unpacks whatever it is given runs out of memory.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Proxy, &[Made("POST bodies.test in gzip: 5 MB of zeros", || post(&coded::bomb(20_000)))])],
    expect: Expect { asks: &["bodies.test"], refusals: &[refusal("http", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};

fn post(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST http://bodies.test/ HTTP/1.1\r\nHost: bodies.test\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
