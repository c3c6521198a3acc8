//! An IPv4 address in a 6to4 tunnel.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "six-to-four-address",
    family: Family::Kernel,
    name: "An IPv4 address in a 6to4 tunnel",
    tries: "Connects to 2002:a63:7::1, which a 6to4 router unwraps for 10.99.0.7.",
    danger: "Where there is such a router, every IPv4 address can be reached over IPv6.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        At(IpAddr::V6(std::net::Ipv6Addr::new(0x2002, 0x0a63, 7, 0, 0, 0, 0, 1)), 80),
        &[Bytes(b"GET / HTTP/1.1\r\nHost: evil2.test\r\n\r\n")],
    )],
    expect: ONE_PACKET,
    on_host: Some(AT_THE_PROXY),
};
