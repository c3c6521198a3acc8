//! Two paths in one request.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "h2-two-paths",
    family: Family::Http,
    name: "Two paths in one request",
    tries: "Names an allowed path and another in two fields :path of one request.",
    danger: "Servers differ in which of the two they believe.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        b"CONNECT modern.test:443 HTTP/1.1\r\nHost: modern.test:443\r\n\r\n",
        Tls { sni: "modern.test", alpn: &["h2"] },
        &[
            Made("the preface, and stream 1: GET /ok/1 of modern.test", || {
                [h2::preface(), h2::get(1, "modern.test", "/ok/1")].concat()
            }),
            Made("stream 3: GET with :path /ok/2 and :path /secret", || {
                h2::request(
                    3,
                    &[
                        (":method", "GET"),
                        (":scheme", "https"),
                        (":authority", "modern.test"),
                        (":path", "/ok/2"),
                        (":path", "/secret"),
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
