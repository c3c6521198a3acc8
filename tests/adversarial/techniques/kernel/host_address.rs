//! A service of the host.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "host-address",
    family: Family::Kernel,
    name: "A service of the host",
    tries: "Connects to the address that the host has outside.",
    danger: "What listens on the host for its operator is not meant for its guests.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        At(IpAddr::V4(std::net::Ipv4Addr::new(93, 184, 215, 2)), 80),
        &[Bytes(b"GET / HTTP/1.1\r\nHost: evil2.test\r\n\r\n")],
    )],
    expect: ONE_PACKET,
    on_host: None,
};
