//! Another name inside a tunnel that is looked into.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "inside-other-name",
    family: Family::Http,
    name: "Another name inside a tunnel that is looked into",
    tries: "Asks for a tunnel to a host that is seen inside, and greets another host that is seen inside as well.",
    danger: "The certificate of one and the rules of the other.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        CONNECT_MODERN,
        Tls { sni: "expired.test", alpn: &["http/1.1"] },
        &[Bytes(b"GET /ok/1 HTTP/1.1\r\nHost: expired.test\r\n\r\n")],
    )],
    expect: Expect { refusals: &[refusal("connect", "default", "host_mismatch")], ..NOTHING },
    on_host: None,
};
