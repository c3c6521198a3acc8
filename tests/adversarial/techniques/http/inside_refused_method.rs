//! A method that is not allowed inside TLS.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "inside-refused-method",
    family: Family::Http,
    name: "A method that is not allowed inside TLS",
    tries: "Reads first, which is allowed, and writes then, which is not.",
    danger: "Whoever may read a site may then write to it.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        b"CONNECT modern.test:443 HTTP/1.1\r\nHost: modern.test:443\r\n\r\n",
        Tls { sni: "modern.test", alpn: &["http/1.1"] },
        &[
            Bytes(b"GET /ok/1 HTTP/1.1\r\nHost: modern.test\r\n\r\n"),
            Bytes(b"POST /ok/2 HTTP/1.1\r\nHost: modern.test\r\nContent-Length: 8\r\n\r\na secret"),
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
