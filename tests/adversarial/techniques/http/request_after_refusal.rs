//! A request after a refused one.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "request-after-refusal",
    family: Family::Http,
    name: "A request after a refused one",
    tries: "Asks for a page of the neighbour, then on the same connection for one of the allowed host.",
    danger: "A refusal must not leave a connection in a state in which the next answer belongs to another request.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[
            Bytes(b"GET http://evil.test/1 HTTP/1.1\r\nHost: evil.test\r\n\r\n"),
            Bytes(b"GET http://allowed.test/2 HTTP/1.1\r\nHost: allowed.test\r\n\r\n"),
        ],
    )],
    expect: Expect {
        arrives: &["GET /2 allowed.test"],
        asks: &["allowed.test"],
        reaches: FRONT_WEB,
        refusals: &[refusal("http", "default", "no_rule_allows")],
        ..NOTHING
    },
    on_host: None,
};
