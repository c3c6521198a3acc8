//! A name that leads to a private address.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "name-of-private-address",
    family: Family::Dns,
    name: "A name that leads to a private address",
    tries: "Asks for an allowed name whose records are private addresses.",
    danger: "Whoever owns a domain would choose which machine behind the firewall is meant.",
    places: Places::Everywhere,
    steps: &[Step::Ask("private.test", A), Step::Ask("private.test", AAAA)],
    expect: Expect {
        asks: &["private.test"],
        refusals: &[refusals(2, "dns", "public-names", "private_address")],
        ..NOTHING
    },
    on_host: None,
};
