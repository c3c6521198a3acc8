//! A field of HTTP/1.1 in HTTP/2.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "h2-transfer-encoding",
    family: Family::Http,
    name: "A field of HTTP/1.1 in HTTP/2",
    tries: "Sends transfer-encoding: chunked in HTTP/2.",
    danger: "Translated to HTTP/1.1 it moves the end of the request.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        b"CONNECT modern.test:443 HTTP/1.1\r\nHost: modern.test:443\r\n\r\n",
        Tls { sni: "modern.test", alpn: &["h2"] },
        &[
            Made("the preface, and stream 1: GET /ok/1 of modern.test", || {
                [h2::preface(), h2::get(1, "modern.test", "/ok/1")].concat()
            }),
            Made("stream 3: GET /ok/2 with transfer-encoding: chunked", || {
                h2::request(
                    3,
                    &[
                        (":method", "GET"),
                        (":scheme", "https"),
                        (":authority", "modern.test"),
                        (":path", "/ok/2"),
                        ("transfer-encoding", "chunked"),
                    ],
                )
            }),
        ],
    )],
    expect: Expect {
        arrives: &["GET /ok/1 modern.test"],
        greets: &["modern.test"],
        asks: &["modern.test"],
        reaches: FRONT_WEB,
        refusals: &[refusal("https", "default", "ambiguous_request")],
        ..NOTHING
    },
    on_host: None,
};
