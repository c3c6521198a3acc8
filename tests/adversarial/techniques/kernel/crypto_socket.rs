//! A socket to the kernel's ciphers.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "crypto-socket",
    family: Family::Kernel,
    name: "A socket to the kernel's ciphers",
    tries: "Opens a socket of family 38.",
    danger: "A part of the kernel that agents have no use for, and that has been a way into it before.",
    places: Places::Apart,
    steps: &[Step::Socket(Socket { family: 38, kind: 5, protocol: 0 }, At(ELSEWHERE, 0), Bytes(b"hello"))],
    expect: NOTHING,
    on_host: None,
};
