//! An allowed request arrives.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "allowed-http",
    family: Family::Http,
    name: "An allowed request arrives",
    tries: "Asks for a page over HTTP, through the proxy and past it: this must work.",
    danger: "A guard that refuses everything proves nothing.",
    places: Places::Everywhere,
    steps: &[
        Step::Tcp(Proxy, &[Bytes(b"GET http://allowed.test/told HTTP/1.1\r\nHost: allowed.test\r\n\r\n")]),
        Step::Tcp(Named("allowed.test", 80), &[Bytes(b"GET /untold HTTP/1.1\r\nHost: allowed.test\r\n\r\n")]),
    ],
    expect: Expect {
        arrives: &["GET /told allowed.test", "GET /untold allowed.test"],
        reaches: FRONT_WEB,
        asks: &["allowed.test"],
        ..NOTHING
    },
    on_host: None,
};
