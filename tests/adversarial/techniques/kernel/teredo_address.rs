//! An IPv4 address in a Teredo tunnel.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "teredo-address",
    family: Family::Kernel,
    name: "An IPv4 address in a Teredo tunnel",
    tries: "Connects to an address of 2001::/32 that holds an IPv4 address.",
    danger: "Where there is such a relay, every IPv4 address can be reached over IPv6.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        At(IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0, 0x0a63, 7, 0, 0, 0, 1)), 80),
        &[Bytes(b"GET / HTTP/1.1\r\nHost: evil2.test\r\n\r\n")],
    )],
    expect: ONE_PACKET,
    on_host: Some(AT_THE_PROXY),
};
