//! An IPv4 address behind a translator.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "nat64-address",
    family: Family::Kernel,
    name: "An IPv4 address behind a translator",
    tries: "Connects to 64:ff9b::a63:7, which a NAT64 router turns into 10.99.0.7.",
    danger: "Where there is such a router, every IPv4 address can be reached over IPv6.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        At(IpAddr::V6(std::net::Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0x0a63, 7)), 80),
        &[Bytes(b"GET / HTTP/1.1\r\nHost: evil2.test\r\n\r\n")],
    )],
    expect: ONE_PACKET,
    on_host: Some(AT_THE_PROXY),
};
