//! A Bluetooth socket.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "bluetooth-socket",
    family: Family::Kernel,
    name: "A Bluetooth socket",
    tries: "Opens a socket of family 31.",
    danger: "Devices nearby are no part of any network namespace.",
    places: Places::Apart,
    steps: &[Step::Socket(Socket { family: 31, kind: 3, protocol: 1 }, At(ELSEWHERE, 0), Bytes(b"hello"))],
    expect: NOTHING,
    on_host: None,
};
