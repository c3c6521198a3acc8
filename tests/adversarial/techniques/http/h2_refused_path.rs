//! A path that is not allowed on a later stream.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "h2-refused-path",
    family: Family::Http,
    name: "A path that is not allowed on a later stream",
    tries: "Asks for an allowed path on the first stream and for one that is not on the second.",
    danger: "A proxy that judges the connection passes everything in it on.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        b"CONNECT modern.test:443 HTTP/1.1\r\nHost: modern.test:443\r\n\r\n",
        Tls { sni: "modern.test", alpn: &["h2"] },
        &[
            Made("the preface, and stream 1: GET /ok/1 of modern.test", || {
                [h2::preface(), h2::get(1, "modern.test", "/ok/1")].concat()
            }),
            Made("stream 3: GET /secret of modern.test", || h2::get(3, "modern.test", "/secret")),
        ],
    )],
    expect: Expect {
        arrives: &["GET /ok/1 modern.test"],
        greets: &["modern.test"],
        reaches: FRONT_WEB,
        asks: &["modern.test"],
        refusals: &[refusal("https", "default", "no_rule_allows")],
        ..NOTHING
    },
    on_host: None,
};
