//! Another host inside intercepted TLS.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "inside-other-host",
    family: Family::Http,
    name: "Another host inside intercepted TLS",
    tries: "Shakes hands for a host that is seen inside, and asks for another within.",
    danger: "The tunnel was judged by one name, the request is served by another.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        b"CONNECT modern.test:443 HTTP/1.1\r\nHost: modern.test:443\r\n\r\n",
        Tls { sni: "modern.test", alpn: &["http/1.1"] },
        &[
            Bytes(b"GET /ok/1 HTTP/1.1\r\nHost: modern.test\r\n\r\n"),
            Bytes(b"GET /ok/2 HTTP/1.1\r\nHost: evil.test\r\n\r\n"),
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
