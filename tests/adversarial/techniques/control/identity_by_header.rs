//! An agent that says it is another.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "identity-by-header",
    family: Family::Control,
    name: "An agent that says it is another",
    tries: "Asks for a site that only another agent may reach, and claims its name in every header that proxies believe.",
    danger: "A name that an agent can give itself is no name.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Proxy, &[Bytes(b"GET http://grpc.test/ HTTP/1.1\r\nHost: grpc.test\r\nX-Agent: neighbour\r\nX-Outcall-Agent: neighbour\r\nX-Forwarded-For: 10.200.0.3\r\nForwarded: for=neighbour\r\nProxy-Authorization: Basic bmVpZ2hib3VyOg==\r\n\r\n")])],
    expect: Expect { refusals: &[refusal("http", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};
