//! A WebSocket inside HTTP/2 to another host.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "h2-websocket-elsewhere",
    family: Family::Http,
    name: "A WebSocket inside HTTP/2 to another host",
    tries: "Asks with an extended CONNECT for a WebSocket of another host.",
    danger: "Bytes that pass both ways for a host that was not judged.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        b"CONNECT modern.test:443 HTTP/1.1\r\nHost: modern.test:443\r\n\r\n",
        Tls { sni: "modern.test", alpn: &["h2"] },
        &[
            Made("the preface, and stream 1: GET /ok/1 of modern.test", || {
                [h2::preface(), h2::get(1, "modern.test", "/ok/1")].concat()
            }),
            Made("stream 3: CONNECT, :protocol websocket, of evil.test", || {
                h2::request(
                    3,
                    &[
                        (":method", "CONNECT"),
                        (":protocol", "websocket"),
                        (":scheme", "https"),
                        (":authority", "evil.test"),
                        (":path", "/ok/2"),
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
