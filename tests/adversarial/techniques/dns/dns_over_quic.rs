//! A resolver over QUIC.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "dns-over-quic",
    family: Family::Dns,
    name: "A resolver over QUIC",
    tries: "Sends a datagram to port 853 of a resolver outside.",
    danger: "Questions inside QUIC are read by nobody but their receiver.",
    places: Places::Everywhere,
    steps: &[Step::Udp(At(OUTSIDE_RESOLVER, 853), Bytes(b"\xc0\x00\x00\x00\x01doq"))],
    expect: ONE_PACKET,
    on_host: None,
};
