//! A datagram to an IPv6 multicast group.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "multicast-ipv6",
    family: Family::Kernel,
    name: "A datagram to an IPv6 multicast group",
    tries: "Sends a datagram to ff05::fb.",
    danger: "Everything in the same network hears it, other agents included.",
    places: Places::Everywhere,
    steps: &[Step::Udp(
        At(IpAddr::V6(std::net::Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 0xfb)), 5353),
        Bytes(b"a secret"),
    )],
    expect: ONE_PACKET,
    on_host: Some(ON_THE_BRIDGE),
};
