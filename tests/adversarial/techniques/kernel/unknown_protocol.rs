//! A protocol that nobody knows.

use std::net::Ipv4Addr;

use crate::packets;
use crate::prelude::*;
use crate::world::zone;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "unknown-protocol",
    family: Family::Kernel,
    name: "A protocol that nobody knows",
    tries: "Writes a whole packet of protocol 253, which is for experiments.",
    danger: "What no rule speaks of must not pass by that.",
    places: Places::Host,
    steps: &[Step::Socket(OWN_HEADER, At(ELSEWHERE, 0), Made("a packet of protocol 253", packet))],
    expect: ONE_PACKET,
    on_host: None,
};

fn packet() -> Vec<u8> {
    packets::ipv4(Ipv4Addr::UNSPECIFIED, zone::OTHER_V4, 253, packets::WHOLE, b"a secret")
}
