//! A datagram in two fragments.

use std::net::Ipv4Addr;

use crate::packets;
use crate::prelude::*;
use crate::world::zone;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "fragments",
    family: Family::Kernel,
    name: "A datagram in two fragments",
    tries: "Sends a datagram in two parts, with its ports in the first alone.",
    danger: "A filter that looks at packets one by one finds no port in the second, and may let it pass.",
    places: Places::Host,
    steps: &[
        Step::Socket(OWN_HEADER, At(ELSEWHERE, 0), Made("the first 8 bytes", first)),
        Step::Socket(OWN_HEADER, At(ELSEWHERE, 0), Made("the rest", rest)),
    ],
    expect: PACKETS,
    on_host: None,
};

const PAYLOAD: &[u8] = b"a secret in two parts";

fn whole() -> Vec<u8> {
    packets::udp(7000, PAYLOAD)
}

fn first() -> Vec<u8> {
    let part: Vec<u8> = whole().into_iter().take(8).collect();
    packets::ipv4(Ipv4Addr::UNSPECIFIED, zone::OTHER_V4, 17, packets::MORE, &part)
}

fn rest() -> Vec<u8> {
    let part: Vec<u8> = whole().into_iter().skip(8).collect();
    packets::ipv4(Ipv4Addr::UNSPECIFIED, zone::OTHER_V4, 17, 1, &part)
}
