//! A datagram to the gateway.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "gateway-datagram",
    family: Family::Kernel,
    name: "A datagram to the gateway",
    tries: "Sends datagrams to ports of the gateway other than that of the resolver.",
    danger: "As for `gateway-ports`.",
    places: Places::Host,
    steps: &[Step::Udp(At(IpAddr::V4(crate::host::GATEWAY_V4), 161), Bytes(b"a secret"))],
    expect: ONE_PACKET,
    on_host: None,
};
