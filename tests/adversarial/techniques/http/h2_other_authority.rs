//! Another authority on a later stream.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "h2-other-authority",
    family: Family::Http,
    name: "Another authority on a later stream",
    tries: "Asks for an allowed host on the first stream and for its neighbour on the second.",
    danger: "One connection carries requests for many names, and only the first was judged with it.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        b"CONNECT modern.test:443 HTTP/1.1\r\nHost: modern.test:443\r\n\r\n",
        Tls { sni: "modern.test", alpn: &["h2"] },
        &[
            Made("the preface, and stream 1: GET /ok/1 of modern.test", || {
                [h2::preface(), h2::get(1, "modern.test", "/ok/1")].concat()
            }),
            Made("stream 3: GET /ok/2 of evil.test", || h2::get(3, "evil.test", "/ok/2")),
        ],
    )],
    expect: Expect {
        arrives: &["GET /ok/1 modern.test"],
        greets: &["modern.test"],
        reaches: FRONT_WEB,
        asks: &["modern.test"],
        refusals: &[refusal("https", "default", "host_mismatch")],
        ..NOTHING
    },
    on_host: None,
};
