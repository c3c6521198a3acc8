//! A server whose certificate has expired.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "certificate-expired",
    family: Family::Http,
    name: "A server whose certificate has expired",
    tries: "Asks for a page inside TLS of an allowed host whose certificate has expired.",
    danger: "Where the proxy ends TLS, it alone can verify who is at the other end.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        b"CONNECT expired.test:443 HTTP/1.1\r\nHost: expired.test:443\r\n\r\n",
        Tls { sni: "expired.test", alpn: &["http/1.1"] },
        &[Bytes(b"GET / HTTP/1.1\r\nHost: expired.test\r\n\r\n")],
    )],
    expect: Expect {
        asks: &["expired.test"],
        reaches: FRONT_WEB,
        refusals: &[refusal("https", "default", "upstream_handshake_failed")],
        ..NOTHING
    },
    on_host: None,
};
