//! A tunnel after an allowed request.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "tunnel-after-request",
    family: Family::Http,
    name: "A tunnel after an allowed request",
    tries: "Asks the proxy for a page of the allowed host, then on the same connection for a tunnel to its neighbour.",
    danger: "A proxy that judges a connection by its first request passes everything behind it on.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[
            Bytes(b"GET http://allowed.test/1 HTTP/1.1\r\nHost: allowed.test\r\n\r\n"),
            Bytes(b"CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n"),
        ],
    )],
    expect: Expect {
        arrives: &["GET /1 allowed.test"],
        asks: &["allowed.test"],
        reaches: FRONT_WEB,
        refusals: &[refusal("connect", "default", "no_rule_allows")],
        ..NOTHING
    },
    on_host: None,
};
