//! An echo request with a payload.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "icmp-echo",
    family: Family::Kernel,
    name: "An echo request with a payload",
    tries: "Pings an address, with words in the payload.",
    danger: "Pings carry tens of kilobytes a second in both directions, and many a firewall lets them through.",
    places: Places::Everywhere,
    steps: &[Step::Socket(
        Socket { family: INET, kind: DGRAM, protocol: 1 },
        At(ELSEWHERE, 0),
        Bytes(b"\x08\x00\x00\x00\x00\x01\x00\x01a secret"),
    )],
    expect: ONE_PACKET,
    on_host: None,
};
