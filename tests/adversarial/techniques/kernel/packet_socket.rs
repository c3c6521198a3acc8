//! A packet socket.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "packet-socket",
    family: Family::Kernel,
    name: "A packet socket",
    tries: "Opens a socket that sends and hears Ethernet frames.",
    danger: "Frames leave below the layer at which most rules look, and others' frames can be read.",
    places: Places::Apart,
    steps: &[Step::Socket(Socket { family: PACKET, kind: RAW, protocol: 0x0300 }, At(ELSEWHERE, 0), Bytes(b"a frame"))],
    expect: NOTHING,
    on_host: None,
};
