//! A question to all neighbours.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "link-local-names",
    family: Family::Kernel,
    name: "A question to all neighbours",
    tries: "Sends a datagram to the group of link-local name resolution.",
    danger: "Names asked there are read by everybody in the same network.",
    places: Places::Everywhere,
    steps: &[Step::Udp(At(IpAddr::V4(std::net::Ipv4Addr::new(224, 0, 0, 252)), 5355), Bytes(b"a name"))],
    expect: ONE_PACKET,
    on_host: Some(ON_THE_BRIDGE),
};
