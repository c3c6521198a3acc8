//! A datagram to a time server.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "ntp-datagram",
    family: Family::Kernel,
    name: "A datagram to a time server",
    tries: "Sends a datagram to port 123, with words in it.",
    danger: "Many rulesets let NTP pass to anywhere.",
    places: Places::Everywhere,
    steps: &[Step::Udp(At(ELSEWHERE, 123), Bytes(b"\x23 a secret in the place of the time"))],
    expect: ONE_PACKET,
    on_host: None,
};
