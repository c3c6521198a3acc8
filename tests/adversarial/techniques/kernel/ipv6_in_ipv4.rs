//! IPv6 in IPv4.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "ipv6-in-ipv4",
    family: Family::Kernel,
    name: "IPv6 in IPv4",
    tries: "Opens a raw socket for protocol 41 and sends a packet through it.",
    danger: "Whole packets travel in it, to addresses that nobody judged.",
    places: Places::Everywhere,
    steps: &[Step::Socket(Socket { family: INET, kind: RAW, protocol: 41 }, At(ELSEWHERE, 0), Bytes(b"a secret"))],
    expect: NOTHING,
    on_host: Some(ONE_PACKET),
};
