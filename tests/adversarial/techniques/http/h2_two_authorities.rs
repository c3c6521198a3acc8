//! Two authorities in one request.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "h2-two-authorities",
    family: Family::Http,
    name: "Two authorities in one request",
    tries: "Names the allowed host and its neighbour in two fields :authority of one request.",
    danger: "Servers differ in which of the two they believe.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        b"CONNECT modern.test:443 HTTP/1.1\r\nHost: modern.test:443\r\n\r\n",
        Tls { sni: "modern.test", alpn: &["h2"] },
        &[
            Made("the preface, and stream 1: GET /ok/1 of modern.test", || {
                [h2::preface(), h2::get(1, "modern.test", "/ok/1")].concat()
            }),
            Made("stream 3: GET /ok/2 with :authority modern.test and :authority evil.test", || {
                h2::request(
                    3,
                    &[
                        (":method", "GET"),
                        (":scheme", "https"),
                        (":authority", "modern.test"),
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
