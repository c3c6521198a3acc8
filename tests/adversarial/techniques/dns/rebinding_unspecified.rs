//! A name that leads to the unspecified address.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "rebinding-unspecified",
    family: Family::Dns,
    name: "A name that leads to the unspecified address",
    tries: "Asks for an allowed name whose records are 0.0.0.0 and ::.",
    danger: "Whoever owns a domain would choose which address behind the firewall is meant.",
    places: Places::Everywhere,
    steps: &[Step::Ask("unspecified.test", A), Step::Ask("unspecified.test", AAAA)],
    expect: Expect {
        asks: &["unspecified.test"],
        refusals: &[refusals(2, "dns", "odd-names", "private_address")],
        ..NOTHING
    },
    on_host: None,
};
