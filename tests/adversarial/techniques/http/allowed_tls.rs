//! An allowed tunnel carries TLS.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "allowed-tls",
    family: Family::Http,
    name: "An allowed tunnel carries TLS",
    tries: "Asks for a page over HTTPS, through a tunnel and past the proxy: this must work.",
    danger: "A guard that refuses everything proves nothing.",
    places: Places::Everywhere,
    steps: &[
        Step::Tunnel(CONNECT_ALLOWED, ALLOWED_HTTP1, &[Bytes(b"GET /told HTTP/1.1\r\nHost: allowed.test\r\n\r\n")]),
        Step::Tls(
            Named("allowed.test", 443),
            ALLOWED_HTTP1,
            &[Bytes(b"GET /untold HTTP/1.1\r\nHost: allowed.test\r\n\r\n")],
        ),
    ],
    expect: Expect {
        arrives: &["tls allowed.test", "GET /told allowed.test", "tls allowed.test", "GET /untold allowed.test"],
        reaches: FRONT_WEB,
        asks: &["allowed.test"],
        ..NOTHING
    },
    on_host: None,
};
