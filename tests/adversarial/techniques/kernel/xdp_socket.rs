//! A socket beside the network stack.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "xdp-socket",
    family: Family::Kernel,
    name: "A socket beside the network stack",
    tries: "Opens a socket of family 44.",
    danger: "Frames pass the rules by.",
    places: Places::Apart,
    steps: &[Step::Socket(Socket { family: 44, kind: 3, protocol: 0 }, At(ELSEWHERE, 0), Bytes(b"hello"))],
    expect: NOTHING,
    on_host: None,
};
