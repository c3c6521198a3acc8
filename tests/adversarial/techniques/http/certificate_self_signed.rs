//! A server whose certificate nobody vouches for.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "certificate-self-signed",
    family: Family::Http,
    name: "A server whose certificate nobody vouches for",
    tries: "Asks for a page inside TLS of an allowed host whose certificate nobody vouches for.",
    danger: "Where the proxy ends TLS, it alone can verify who is at the other end.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        b"CONNECT selfsigned.test:443 HTTP/1.1\r\nHost: selfsigned.test:443\r\n\r\n",
        Tls { sni: "selfsigned.test", alpn: &["http/1.1"] },
        &[Bytes(b"GET / HTTP/1.1\r\nHost: selfsigned.test\r\n\r\n")],
    )],
    expect: Expect {
        asks: &["selfsigned.test"],
        reaches: FRONT_WEB,
        refusals: &[refusal("https", "default", "upstream_handshake_failed")],
        ..NOTHING
    },
    on_host: None,
};
