//! A UDP-Lite datagram.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "udp-lite",
    family: Family::Kernel,
    name: "A UDP-Lite datagram",
    tries: "Sends a datagram of protocol 136, which looks like UDP to programs and like nothing known to rules.",
    danger: "As for `sctp`.",
    places: Places::Everywhere,
    steps: &[Step::Socket(
        Socket { family: INET, kind: DGRAM, protocol: 136 },
        At(ELSEWHERE, 7000),
        Bytes(b"a secret"),
    )],
    expect: ONE_PACKET,
    on_host: None,
};
