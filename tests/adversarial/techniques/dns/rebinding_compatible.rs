//! A name that leads to an IPv4-compatible address.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "rebinding-compatible",
    family: Family::Dns,
    name: "A name that leads to an IPv4-compatible address",
    tries: "Asks for an allowed name whose record is ::10.99.0.7.",
    danger: "Whoever owns a domain would choose which address behind the firewall is meant.",
    places: Places::Everywhere,
    steps: &[Step::Ask("compatible.test", AAAA)],
    expect: Expect {
        asks: &["compatible.test"],
        refusals: &[refusal("dns", "odd-names", "private_address")],
        ..NOTHING
    },
    on_host: None,
};
