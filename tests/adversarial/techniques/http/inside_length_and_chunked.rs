//! A body with a length and chunks inside TLS.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "inside-length-and-chunked",
    family: Family::Http,
    name: "A body with a length and chunks inside TLS",
    tries: "Smuggles a request within a body, inside TLS that is looked into.",
    danger: "What is body to the proxy is a request to the server, and nobody judged it.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(b"CONNECT modern.test:443 HTTP/1.1\r\nHost: modern.test:443\r\n\r\n", Tls { sni: "modern.test", alpn: &["http/1.1"] }, &[Bytes(b"GET /ok/1 HTTP/1.1\r\nHost: modern.test\r\n\r\n"), Bytes(b"GET /ok/2 HTTP/1.1\r\nHost: modern.test\r\nContent-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /secret HTTP/1.1\r\nHost: modern.test\r\n\r\n")])],
    expect: Expect { arrives: &["GET /ok/1 modern.test"], greets: &["modern.test"],
        reaches: FRONT_WEB, asks: &["modern.test"], refusals: &[refusal("https", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
