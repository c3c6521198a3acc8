//! A tunnel to one name, TLS for another.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "tunnel-other-sni",
    family: Family::Http,
    name: "A tunnel to one name, TLS for another",
    tries: "Opens a tunnel to the allowed host and greets its neighbour, which has the same address and certificate.",
    danger: "Domain fronting: the proxy sees an allowed name, the front serves another site.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        b"CONNECT allowed.test:443 HTTP/1.1\r\nHost: allowed.test:443\r\n\r\n",
        Tls { sni: "evil.test", alpn: &["http/1.1"] },
        &[Bytes(b"GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n")],
    )],
    expect: Expect {
        reaches: FRONT_WEB,
        asks: &["allowed.test"],
        refusals: &[refusal("connect", "default", "host_mismatch")],
        ..NOTHING
    },
    on_host: None,
};
