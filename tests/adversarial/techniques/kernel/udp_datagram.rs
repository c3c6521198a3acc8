//! A UDP datagram to any port.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "udp-datagram",
    family: Family::Kernel,
    name: "A UDP datagram to any port",
    tries: "Sends a datagram to an address and port that nobody allowed.",
    danger: "One datagram is enough to carry a secret out.",
    places: Places::Everywhere,
    steps: &[Step::Udp(At(ELSEWHERE, 7000), Bytes(b"a secret"))],
    expect: ONE_PACKET,
    on_host: None,
};
