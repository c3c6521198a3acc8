//! A source address that nobody has.

use crate::packets;
use crate::prelude::*;
use crate::world::zone;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "spoofed-source",
    family: Family::Kernel,
    name: "A source address that nobody has",
    tries: "Writes a whole packet itself, from an address of the agents' network that no agent has.",
    danger: "Rules on who may do what rest on addresses, and what is sent from none of them is nobody's.",
    places: Places::Host,
    steps: &[Step::Socket(OWN_HEADER, At(ELSEWHERE, 0), Made("a datagram from 10.200.77.77", packet))],
    expect: FORGED,
    on_host: None,
};

fn packet() -> Vec<u8> {
    packets::ipv4([10, 200, 77, 77].into(), zone::OTHER_V4, 17, packets::WHOLE, &packets::udp(7000, b"a secret"))
}
