//! A TCP connection straight to an IPv6 address.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "direct-ipv6",
    family: Family::Kernel,
    name: "A TCP connection straight to an IPv6 address",
    tries: "The same as `direct-ipv4` over IPv6, which rulesets like to forget.",
    danger: "A guard that only knows IPv4 is none on a host that has both.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(At(ELSEWHERE6, 80), &[Bytes(b"GET / HTTP/1.1\r\nHost: evil2.test\r\n\r\n")])],
    expect: ONE_PACKET,
    on_host: Some(AT_THE_PROXY),
};
