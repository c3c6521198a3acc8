//! A service in a private IPv6 network.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "unique-local-address",
    family: Family::Kernel,
    name: "A service in a private IPv6 network",
    tries: "Connects to an address in fc00::/7.",
    danger: "The network behind the host trusts whoever is inside it.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        At(IpAddr::V6(std::net::Ipv6Addr::new(0xfd00, 0x99, 0, 0, 0, 0, 0, 7)), 80),
        &[Bytes(b"GET / HTTP/1.1\r\nHost: evil2.test\r\n\r\n")],
    )],
    expect: ONE_PACKET,
    on_host: Some(AT_THE_PROXY),
};
