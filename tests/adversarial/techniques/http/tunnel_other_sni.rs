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
        CONNECT_ALLOWED,
        Tls { sni: "evil.test", alpn: &["http/1.1"] },
        &[Bytes(b"GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n")],
    )],
    expect: OTHER_NAME_IN_HELLO,
    on_host: None,
};
