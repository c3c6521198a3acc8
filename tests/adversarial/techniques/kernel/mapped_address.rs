//! An IPv4 address as IPv6 would write it.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "mapped-address",
    family: Family::Kernel,
    name: "An IPv4 address as IPv6 would write it",
    tries: "Connects a socket of IPv6 to ::ffff:93.184.216.35.",
    danger: "Rules for IPv6 do not know the address, rules for IPv4 do not see the socket.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        At(IpAddr::V6(std::net::Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0x5db8, 0xd823)), 80),
        &[Bytes(b"GET / HTTP/1.1\r\nHost: evil2.test\r\n\r\n")],
    )],
    expect: ONE_PACKET,
    on_host: Some(AT_THE_PROXY),
};
