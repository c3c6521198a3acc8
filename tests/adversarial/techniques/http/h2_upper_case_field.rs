//! A field in upper case.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "h2-upper-case-field",
    family: Family::Http,
    name: "A field in upper case",
    tries: "Sends a field whose name has an upper-case letter, which HTTP/2 does not allow.",
    danger: "Translated to HTTP/1.1 it is a field that nobody judged.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        b"CONNECT modern.test:443 HTTP/1.1\r\nHost: modern.test:443\r\n\r\n",
        Tls { sni: "modern.test", alpn: &["h2"] },
        &[
            Made("the preface, and stream 1: GET /ok/1 of modern.test", || {
                [h2::preface(), h2::get(1, "modern.test", "/ok/1")].concat()
            }),
            Made("stream 3: GET /ok/2 with a field Host: evil.test", || {
                h2::request(
                    3,
                    &[
                        (":method", "GET"),
                        (":scheme", "https"),
                        (":authority", "modern.test"),
                        (":path", "/ok/2"),
                        ("Host", "evil.test"),
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
