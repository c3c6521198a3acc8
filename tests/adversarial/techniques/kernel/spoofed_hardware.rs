//! The hardware address of another agent.

use crate::host::{AGENT_V4, NEIGHBOUR_V4, hardware};
use crate::prelude::*;
use crate::world::cable;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "spoofed-hardware",
    family: Family::Kernel,
    name: "The hardware address of another agent",
    tries: "Gives its network device the hardware address of the agent beside it, and sends a datagram.",
    danger: "A bridge believes the last who said so: what is for the other agent would come here, and what is said here would be the other's.",
    places: Places::Host,
    steps: &[
        Step::Do("takes the other agent's hardware address", |_| cable::set_hardware("eth0", hardware(NEIGHBOUR_V4))),
        Step::Udp(At(ELSEWHERE, 7000), Bytes(b"a secret")),
        Step::Do("takes its own again", |_| cable::set_hardware("eth0", hardware(AGENT_V4))),
    ],
    expect: FORGED,
    on_host: None,
};
