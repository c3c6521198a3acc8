//! Another agent over IPv6.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "neighbour-ipv6",
    family: Family::Kernel,
    name: "Another agent over IPv6",
    tries: "Sends a datagram to the agent beside it over IPv6.",
    danger: "As for `neighbour-ipv4`.",
    places: Places::Host,
    steps: &[Step::Udp(At(NEIGHBOUR, 7000), Bytes(b"a secret"))],
    // The ports are isolated, so the question for the neighbour's hardware address gets no answer, and mostly nothing else is
    // sent: that it was sent nothing is counted where it is.
    expect: Expect {
        refusals: &[Refusal { times: Count::Any, ..refusal("network", "default", "agent_to_agent") }],
        refused_packets: Count::Any,
        ..NOTHING
    },
    on_host: None,
};

const NEIGHBOUR: IpAddr = IpAddr::V6(crate::host::NEIGHBOUR_V6);
