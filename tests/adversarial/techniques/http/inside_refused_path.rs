//! A path that is not allowed inside TLS.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "inside-refused-path",
    family: Family::Http,
    name: "A path that is not allowed inside TLS",
    tries: "Asks for an allowed path first and for one that is not on the same connection.",
    danger: "A proxy that judges the connection passes everything in it on.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        b"CONNECT modern.test:443 HTTP/1.1\r\nHost: modern.test:443\r\n\r\n",
        Tls { sni: "modern.test", alpn: &["http/1.1"] },
        &[
            Bytes(b"GET /ok/1 HTTP/1.1\r\nHost: modern.test\r\n\r\n"),
            Bytes(b"GET /secret HTTP/1.1\r\nHost: modern.test\r\n\r\n"),
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
