//! A GRE tunnel.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "gre",
    family: Family::Kernel,
    name: "A GRE tunnel",
    tries: "Opens a raw socket for protocol 47 and sends a packet through it.",
    danger: "Whole networks travel in it.",
    places: Places::Everywhere,
    steps: &[Step::Socket(Socket { family: INET, kind: RAW, protocol: 47 }, At(ELSEWHERE, 0), Bytes(b"a secret"))],
    expect: NOTHING,
    on_host: Some(ONE_PACKET),
};
