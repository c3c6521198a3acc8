//! The metadata service by its address.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "metadata-address",
    family: Family::Kernel,
    name: "The metadata service by its address",
    tries: "Asks 169.254.169.254 for credentials.",
    danger: "On a cloud's machine it answers everybody with the machine's own rights.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        At(METADATA, 80),
        &[Bytes(b"GET /latest/meta-data/iam/security-credentials/ HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n")],
    )],
    expect: ONE_PACKET,
    on_host: Some(PACKETS),
};
