//! A TCP connection straight to an IPv4 address.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "direct-ipv4",
    family: Family::Kernel,
    name: "A TCP connection straight to an IPv4 address",
    tries: "Connects to an address that no name led to, past the proxy, and asks for a page.",
    danger: "Anything that knows an address would be reached, whatever the rules say of names.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(At(ELSEWHERE, 80), &[Bytes(b"GET / HTTP/1.1\r\nHost: evil2.test\r\n\r\n")])],
    expect: ONE_PACKET,
    on_host: Some(AT_THE_PROXY),
};
