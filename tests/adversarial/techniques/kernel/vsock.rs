//! A socket to the hypervisor.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "vsock",
    family: Family::Kernel,
    name: "A socket to the hypervisor",
    tries: "Opens a socket of the family that connects virtual machines with their hosts.",
    danger: "It is no part of any network namespace: what listens on the hypervisor is reached past every firewall.",
    places: Places::Apart,
    steps: &[Step::Socket(Socket { family: VSOCK, kind: STREAM, protocol: 0 }, At(ELSEWHERE, 0), Bytes(b"hello"))],
    expect: NOTHING,
    on_host: None,
};
