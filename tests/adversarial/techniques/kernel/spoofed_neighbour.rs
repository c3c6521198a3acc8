//! The source address of another agent.

use crate::packets;
use crate::prelude::*;
use crate::world::zone;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "spoofed-neighbour",
    family: Family::Kernel,
    name: "The source address of another agent",
    tries: "Writes a whole packet itself, from the address of the agent beside it.",
    danger: "An agent would have the rights of another, and the log would say that it was the other.",
    places: Places::Host,
    steps: &[Step::Socket(OWN_HEADER, At(ELSEWHERE, 0), Made("a datagram from the other agent's address", packet))],
    expect: FORGED,
    on_host: None,
};

fn packet() -> Vec<u8> {
    packets::ipv4(crate::host::NEIGHBOUR_V4, zone::OTHER_V4, 17, packets::WHOLE, &packets::udp(7000, b"a secret"))
}
