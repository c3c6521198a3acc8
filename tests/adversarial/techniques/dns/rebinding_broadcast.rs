//! A name that leads to the broadcast address.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "rebinding-broadcast",
    family: Family::Dns,
    name: "A name that leads to the broadcast address",
    tries: "Asks for an allowed name whose record is 255.255.255.255.",
    danger: "Whoever owns a domain would choose which address behind the firewall is meant.",
    places: Places::Everywhere,
    steps: &[Step::Ask("broadcast.test", A)],
    expect: Expect {
        asks: &["broadcast.test"],
        refusals: &[refusal("dns", "odd-names", "private_address")],
        ..NOTHING
    },
    on_host: None,
};
