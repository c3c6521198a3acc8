//! The operator's interface at the resolver's port.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "operator-over-resolver",
    family: Family::Control,
    name: "The operator's interface at the resolver's port",
    tries: "Speaks HTTP to the port at which names are answered over TCP.",
    danger: "What answers two protocols on one port has two ways to be asked.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Resolver, &[Bytes(b"GET /api/v1/rules HTTP/1.1\r\nHost: outcall\r\n\r\n")])],
    expect: NOTHING,
    on_host: None,
};
