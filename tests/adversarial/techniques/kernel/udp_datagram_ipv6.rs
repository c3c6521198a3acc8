//! A UDP datagram over IPv6.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "udp-datagram-ipv6",
    family: Family::Kernel,
    name: "A UDP datagram over IPv6",
    tries: "Sends a datagram to an IPv6 address and port that nobody allowed.",
    danger: "One datagram is enough to carry a secret out.",
    places: Places::Everywhere,
    steps: &[Step::Udp(At(ELSEWHERE6, 7000), Bytes(b"a secret"))],
    expect: ONE_PACKET,
    on_host: None,
};
