//! The metadata service of another cloud.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "metadata-other-clouds",
    family: Family::Kernel,
    name: "The metadata service of another cloud",
    tries: "Connects to 100.100.100.200.",
    danger: "Clouds differ in the address of the service, not in what it hands out.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        At(IpAddr::V4(std::net::Ipv4Addr::new(100, 100, 100, 200)), 80),
        &[Bytes(b"GET / HTTP/1.1\r\nHost: evil2.test\r\n\r\n")],
    )],
    expect: ONE_PACKET,
    on_host: Some(PACKETS),
};
