//! A raw IP socket.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "raw-socket",
    family: Family::Kernel,
    name: "A raw IP socket",
    tries: "Opens a raw socket for protocol 253, which is for experiments, and sends a packet through it.",
    danger: "With raw sockets an agent writes whatever headers it likes, and protocols that no rule speaks of.",
    places: Places::Apart,
    steps: &[Step::Socket(Socket { family: INET, kind: RAW, protocol: 253 }, At(ELSEWHERE, 0), Bytes(b"a secret"))],
    expect: NOTHING,
    on_host: None,
};
