//! A name that leads to an address of carriers.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "rebinding-shared",
    family: Family::Dns,
    name: "A name that leads to an address of carriers",
    tries: "Asks for an allowed name whose record is 100.64.0.7.",
    danger: "Whoever owns a domain would choose which address behind the firewall is meant.",
    places: Places::Everywhere,
    steps: &[Step::Ask("shared.test", A)],
    expect: Expect { asks: &["shared.test"], refusals: &[refusal("dns", "odd-names", "private_address")], ..NOTHING },
    on_host: None,
};
