//! A datagram to the metadata service.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "metadata-datagram",
    family: Family::Kernel,
    name: "A datagram to the metadata service",
    tries: "Sends a datagram to 169.254.169.254.",
    danger: "Some of its parts (time, names) are served over UDP.",
    places: Places::Everywhere,
    steps: &[Step::Udp(At(METADATA, 123), Bytes(b"time?"))],
    expect: ONE_PACKET,
    on_host: None,
};
