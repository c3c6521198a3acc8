//! A reverse lookup.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "reverse-lookup",
    family: Family::Dns,
    name: "A reverse lookup",
    tries: "Asks for the name of an address that carries a secret.",
    danger: "An address has 32 bits, and the servers of its reverse zone are told all of them.",
    places: Places::Everywhere,
    steps: &[Step::Ask("1.2.0.192.in-addr.arpa", 12)],
    expect: Expect { refusals: &[refusal("dns", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};
