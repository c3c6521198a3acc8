//! A report of group membership.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "igmp",
    family: Family::Kernel,
    name: "A report of group membership",
    tries: "Opens a raw socket for protocol 2 and sends a packet through it.",
    danger: "It has a network send groups here, and says who is here.",
    places: Places::Everywhere,
    steps: &[Step::Socket(Socket { family: INET, kind: RAW, protocol: 2 }, At(ELSEWHERE, 0), Bytes(b"a secret"))],
    expect: NOTHING,
    on_host: Some(ONE_PACKET),
};
