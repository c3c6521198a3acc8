//! A socket to a vehicle's bus.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "can-socket",
    family: Family::Kernel,
    name: "A socket to a vehicle's bus",
    tries: "Opens a socket of family 29.",
    danger: "What hangs there moves.",
    places: Places::Apart,
    steps: &[Step::Socket(Socket { family: 29, kind: 3, protocol: 1 }, At(ELSEWHERE, 0), Bytes(b"hello"))],
    expect: NOTHING,
    on_host: None,
};
