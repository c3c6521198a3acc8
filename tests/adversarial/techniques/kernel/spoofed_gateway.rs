//! The source address of the gateway.

use crate::packets;
use crate::prelude::*;
use crate::world::zone;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "spoofed-gateway",
    family: Family::Kernel,
    name: "The source address of the gateway",
    tries: "Writes a whole packet itself, from the address at which the host answers agents.",
    danger: "What the host says to itself it believes.",
    places: Places::Host,
    steps: &[Step::Socket(OWN_HEADER, At(ELSEWHERE, 0), Made("a datagram from 10.200.0.1", packet))],
    expect: FORGED,
    on_host: None,
};

fn packet() -> Vec<u8> {
    packets::ipv4(crate::host::GATEWAY_V4, zone::OTHER_V4, 17, packets::WHOLE, &packets::udp(7000, b"a secret"))
}
