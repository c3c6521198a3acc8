//! A tunnel with TLS that names nobody.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "tunnel-without-sni",
    family: Family::Http,
    name: "A tunnel with TLS that names nobody",
    tries: "Opens a tunnel to the allowed host and sends a ClientHello without a server name.",
    danger: "A front then serves its default site, whichever that is, and the request inside may name any other.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        CONNECT_ALLOWED,
        Tls { sni: "93.184.216.34", alpn: &[] },
        &[Bytes(b"GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n")],
    )],
    expect: Expect { refusals: &[refusal("connect", "default", "sni_missing")], ..DIALLED },
    on_host: None,
};
