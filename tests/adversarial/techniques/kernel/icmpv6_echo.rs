//! An echo request over IPv6.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "icmpv6-echo",
    family: Family::Kernel,
    name: "An echo request over IPv6",
    tries: "Pings an IPv6 address, with words in the payload.",
    danger: "As for `icmp-echo`; and ICMPv6 has to be let through in part, for neighbours to be found.",
    places: Places::Everywhere,
    steps: &[Step::Socket(
        Socket { family: INET6, kind: DGRAM, protocol: 58 },
        At(ELSEWHERE6, 0),
        Bytes(b"\x80\x00\x00\x00\x00\x01\x00\x01a secret"),
    )],
    expect: ONE_PACKET,
    on_host: None,
};
