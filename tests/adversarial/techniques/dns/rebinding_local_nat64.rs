//! A name that leads to an address of a local NAT64.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "rebinding-local-nat64",
    family: Family::Dns,
    name: "A name that leads to an address of a local NAT64",
    tries: "Asks for an allowed name whose record is 64:ff9b:1::10.99.0.7.",
    danger: "Whoever owns a domain would choose which address behind the firewall is meant.",
    places: Places::Everywhere,
    steps: &[Step::Ask("local-nat64.test", AAAA)],
    expect: Expect {
        asks: &["local-nat64.test"],
        refusals: &[refusal("dns", "odd-names", "private_address")],
        ..NOTHING
    },
    on_host: None,
};
