//! Another agent.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "neighbour-ipv4",
    family: Family::Kernel,
    name: "Another agent",
    tries: "Sends a datagram and a connection to the agent beside it.",
    danger: "Two agents that talk have the rights of both, and what one may not send the other does.",
    places: Places::Host,
    steps: &[Step::Udp(At(NEIGHBOUR, 7000), Bytes(b"a secret")), Step::Tcp(At(NEIGHBOUR, 80), &[])],
    // The ports are isolated, so the question for the neighbour's hardware address gets no answer, and mostly nothing else is
    // sent: that it was sent nothing is counted where it is.
    expect: Expect {
        refusals: &[Refusal { times: Count::Any, ..refusal("network", "default", "agent_to_agent") }],
        refused_packets: Count::Any,
        ..NOTHING
    },
    on_host: None,
};

const NEIGHBOUR: IpAddr = IpAddr::V4(crate::host::NEIGHBOUR_V4);
