//! A tunnel to an address with a zone.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "tunnel-zoned-address",
    family: Family::Http,
    name: "A tunnel to an address with a zone",
    tries: "Asks for a tunnel to fe80::1%25eth0.",
    danger: "Link-local addresses lead to whoever is on the cable.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[Bytes(b"CONNECT [fe80::1%25eth0]:443 HTTP/1.1\r\nHost: [fe80::1%25eth0]:443\r\n\r\n")],
    )],
    expect: Expect { refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
