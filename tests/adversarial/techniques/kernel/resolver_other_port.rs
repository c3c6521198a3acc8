//! A query to a resolver at another port.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "resolver-other-port",
    family: Family::Kernel,
    name: "A query to a resolver at another port",
    tries: "Sends a query for evil.test to port 5353 of a resolver outside.",
    danger: "Resolvers listen at other ports as well, for those who are kept from port 53.",
    places: Places::Everywhere,
    steps: &[Step::Udp(
        At(OUTSIDE_RESOLVER, 5353),
        Bytes(b"\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04evil\x04test\x00\x00\x01\x00\x01"),
    )],
    expect: ONE_PACKET,
    on_host: None,
};
