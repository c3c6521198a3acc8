//! A server whose certificate is another host's.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "certificate-misnamed",
    family: Family::Http,
    name: "A server whose certificate is another host's",
    tries: "Asks for a page inside TLS of an allowed host whose certificate is another host's.",
    danger: "Where the proxy ends TLS, it alone can verify who is at the other end.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        b"CONNECT misnamed.test:443 HTTP/1.1\r\nHost: misnamed.test:443\r\n\r\n",
        Tls { sni: "misnamed.test", alpn: &["http/1.1"] },
        &[Bytes(b"GET / HTTP/1.1\r\nHost: misnamed.test\r\n\r\n")],
    )],
    expect: Expect {
        asks: &["misnamed.test"],
        reaches: FRONT_WEB,
        refusals: &[refusal("https", "default", "upstream_handshake_failed")],
        ..NOTHING
    },
    on_host: None,
};
