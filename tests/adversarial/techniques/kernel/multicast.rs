//! A datagram to a multicast group.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "multicast",
    family: Family::Kernel,
    name: "A datagram to a multicast group",
    tries: "Sends a datagram to the group of multicast DNS.",
    danger: "Everything in the same network hears it, other agents included.",
    places: Places::Everywhere,
    steps: &[Step::Udp(At(IpAddr::V4(std::net::Ipv4Addr::new(224, 0, 0, 251)), 5353), Bytes(b"a secret"))],
    expect: ONE_PACKET,
    on_host: Some(ON_THE_BRIDGE),
};
