//! Another resolver over UDP.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "other-resolver",
    family: Family::Dns,
    name: "Another resolver over UDP",
    tries: "Sends the question to a resolver outside, past the one it was given.",
    danger: "Any server of the agent's choice would read its questions.",
    places: Places::Everywhere,
    steps: &[Step::Udp(At(OUTSIDE_RESOLVER, 53), Made("a query for evil.test A", || query(1, "evil.test", A)))],
    expect: Expect { refusals: &[refusal("dns", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};
