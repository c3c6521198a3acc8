//! Other ports of the gateway.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "gateway-ports",
    family: Family::Kernel,
    name: "Other ports of the gateway",
    tries: "Connects to the ports of the gateway at which hosts are administered.",
    danger: "The gateway is the host: what listens there for its operator is one hop away.",
    places: Places::Host,
    steps: &[
        Step::Tcp(At(GATEWAY, 22), &[Bytes(b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n")]),
        Step::Tcp(At(GATEWAY, 2375), &[Bytes(b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n")]),
        Step::Tcp(At(GATEWAY, 9090), &[Bytes(b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n")]),
    ],
    expect: Expect {
        refusals: &[refusals(3, "network", "default", "raw_traffic")],
        refused_packets: Count::Exactly(3),
        ..NOTHING
    },
    on_host: None,
};

const GATEWAY: IpAddr = IpAddr::V4(crate::host::GATEWAY_V4);
