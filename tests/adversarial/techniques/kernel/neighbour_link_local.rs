//! Another agent by the address that its link gives it.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use crate::host::{NEIGHBOUR_V4, hardware};
use crate::prelude::*;
use crate::world::cable;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "neighbour-link-local",
    family: Family::Kernel,
    name: "Another agent by the address that its link gives it",
    tries: "Sends a datagram and a connection to the agent beside it, at the link-local address that follows from its hardware address.",
    danger: "Kernels give themselves such addresses unasked, and rules on the addresses that were given out do not know them.",
    places: Places::Host,
    steps: &[Step::Do("UDP and TCP to port 7000 of the other agent's address in fe80::/10", knock)],
    // As for `neighbour-ipv4`: the question for the neighbour's hardware address gets no answer.
    expect: Expect {
        refusals: &[Refusal { times: Count::Any, ..refusal("network", "default", "agent_to_agent") }],
        refused_packets: Count::Any,
        ..NOTHING
    },
    on_host: None,
};

fn knock(inside: &Inside) -> io::Result<()> {
    // RFC 4291, appendix A: the seventh bit of the hardware address the other way around, and ff:fe in the middle.
    let [a, b, c, d, e, f] = hardware(NEIGHBOUR_V4);
    let [high, upper, lower, low] = [[a ^ 2, b], [c, 0xff], [0xfe, d], [e, f]].map(u16::from_be_bytes);
    let address = Ipv6Addr::new(0xfe80, 0, 0, 0, high, upper, lower, low);
    let to = SocketAddr::V6(SocketAddrV6::new(address, 7000, 0, cable::index("eth0")?));
    let sent = inside.datagram(to, b"a secret", Duration::from_millis(150));
    inside.connect(to).map(drop).and(sent.map(drop))
}
