//! A source address of somebody outside.

use crate::packets;
use crate::prelude::*;
use crate::world::zone;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "spoofed-public-source",
    family: Family::Kernel,
    name: "A source address of somebody outside",
    tries: "Writes a whole packet itself, from an address outside that the answer would go to.",
    danger: "A flood that seems to come from somebody else, and answers that go to somebody else.",
    places: Places::Host,
    steps: &[Step::Socket(OWN_HEADER, At(ELSEWHERE, 0), Made("a datagram from 93.184.216.34", packet))],
    expect: FORGED,
    on_host: None,
};

fn packet() -> Vec<u8> {
    packets::ipv4(zone::CDN_V4, zone::OTHER_V4, 17, packets::WHOLE, &packets::udp(7000, b"a secret"))
}
