//! The last fragment of nothing.

use std::net::Ipv4Addr;

use crate::packets;
use crate::prelude::*;
use crate::world::zone;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "last-fragment",
    family: Family::Kernel,
    name: "The last fragment of nothing",
    tries: "Sends the last part of a datagram whose first part never was.",
    danger: "Data needs no ports to be read by somebody who waits for it.",
    places: Places::Host,
    steps: &[Step::Socket(OWN_HEADER, At(ELSEWHERE, 0), Made("a fragment that begins at byte 1480", packet))],
    expect: Expect {
        refusals: &[Refusal { times: Count::Any, ..RAW_TRAFFIC }],
        refused_packets: Count::Any,
        ..NOTHING
    },
    on_host: None,
};

fn packet() -> Vec<u8> {
    packets::ipv4(Ipv4Addr::UNSPECIFIED, zone::OTHER_V4, 17, 185, b"a secret")
}
