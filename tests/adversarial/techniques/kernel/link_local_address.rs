//! A neighbour by its link-local address.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "link-local-address",
    family: Family::Kernel,
    name: "A neighbour by its link-local address",
    tries: "Connects to an address of 169.254.0.0/16 that is not the metadata service.",
    danger: "Link-local services (printers, hypervisors, other clouds) ask nobody who is calling.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        At(IpAddr::V4(std::net::Ipv4Addr::new(169, 254, 1, 1)), 80),
        &[Bytes(b"GET / HTTP/1.1\r\nHost: evil2.test\r\n\r\n")],
    )],
    expect: ONE_PACKET,
    on_host: Some(AT_THE_PROXY),
};
