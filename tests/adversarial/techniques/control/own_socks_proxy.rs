//! A SOCKS proxy outside.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "own-socks-proxy",
    family: Family::Control,
    name: "A SOCKS proxy outside",
    tries: "Greets a SOCKS proxy at its usual port.",
    danger: "Through it every other place is one connection away.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(At(ELSEWHERE, 1080), &[Bytes(b"\x05\x01\x00")])],
    expect: ONE_PACKET,
    on_host: Some(Expect { refusals: &[RAW_TRAFFIC], ..NOTHING }),
};
