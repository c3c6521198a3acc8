//! A name that leads to a mapped address.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "rebinding-mapped",
    family: Family::Dns,
    name: "A name that leads to a mapped address",
    tries: "Asks for an allowed name whose record is ::ffff:127.0.0.1.",
    danger: "Whoever owns a domain would choose which address behind the firewall is meant.",
    places: Places::Everywhere,
    steps: &[Step::Ask("mapped.test", AAAA)],
    expect: Expect {
        asks: &["mapped.test"],
        refusals: &[refusal("dns", "public-names", "private_address")],
        ..NOTHING
    },
    on_host: None,
};
