//! The metadata service as IPv6 would write it.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "metadata-mapped",
    family: Family::Kernel,
    name: "The metadata service as IPv6 would write it",
    tries: "Connects a socket of IPv6 to ::ffff:169.254.169.254.",
    danger: "The same service under a spelling that lists of addresses forget.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        At(IpAddr::V6(std::net::Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0xa9fe, 0xa9fe)), 80),
        &[Bytes(b"GET / HTTP/1.1\r\nHost: evil2.test\r\n\r\n")],
    )],
    expect: ONE_PACKET,
    on_host: Some(PACKETS),
};
