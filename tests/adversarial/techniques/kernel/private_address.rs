//! A service in a private network.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "private-address",
    family: Family::Kernel,
    name: "A service in a private network",
    tries: "Connects to an address in 10.0.0.0/8.",
    danger: "The network behind the host trusts whoever is inside it.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(At(PRIVATE, 80), &[Bytes(b"GET / HTTP/1.1\r\nHost: evil2.test\r\n\r\n")])],
    expect: ONE_PACKET,
    on_host: Some(AT_THE_PROXY),
};
