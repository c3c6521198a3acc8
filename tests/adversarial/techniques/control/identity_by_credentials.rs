//! A tunnel in the name of another agent.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "identity-by-credentials",
    family: Family::Control,
    name: "A tunnel in the name of another agent",
    tries: "Opens a tunnel to a site that only another agent may reach, with that agent's name as user and in headers.",
    danger: "A proxy that takes names from its clients gives each the rights of all.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Proxy, &[Bytes(b"CONNECT grpc.test:443 HTTP/1.1\r\nHost: grpc.test:443\r\nProxy-Authorization: Basic bmVpZ2hib3VyOm5laWdoYm91cg==\r\nX-Agent: neighbour\r\nVia: 1.1 neighbour\r\nX-Real-IP: 10.200.0.3\r\n\r\n")])],
    expect: Expect { refusals: &[refusal("connect", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};
