//! A path with dots inside TLS.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "inside-dot-segments",
    family: Family::Http,
    name: "A path with dots inside TLS",
    tries: "Asks for /ok/../secret, where only paths below /ok/ are allowed.",
    danger: "The rule sees a path below /ok/, the server one beside it.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        b"CONNECT modern.test:443 HTTP/1.1\r\nHost: modern.test:443\r\n\r\n",
        Tls { sni: "modern.test", alpn: &["http/1.1"] },
        &[
            Bytes(b"GET /ok/1 HTTP/1.1\r\nHost: modern.test\r\n\r\n"),
            Bytes(b"GET /ok/../secret HTTP/1.1\r\nHost: modern.test\r\n\r\n"),
        ],
    )],
    expect: Expect {
        arrives: &["GET /ok/1 modern.test"],
        greets: &["modern.test"],
        reaches: FRONT_WEB,
        asks: &["modern.test"],
        refusals: &[refusal("https", "default", "ambiguous_request")],
        ..NOTHING
    },
    on_host: None,
};
