//! A tunnel to an IPv6 address.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "tunnel-ipv6-address",
    family: Family::Http,
    name: "A tunnel to an IPv6 address",
    tries: "Asks for a tunnel to the front by its IPv6 address.",
    danger: "An address has no name that could be allowed, and every name is behind it.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[Bytes(b"CONNECT [2606:2800:220:1::34]:443 HTTP/1.1\r\nHost: [2606:2800:220:1::34]:443\r\n\r\n")],
    )],
    expect: Expect { refusals: &[refusal("connect", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};
