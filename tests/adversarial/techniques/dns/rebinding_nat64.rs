//! A name that leads through a translator.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "rebinding-nat64",
    family: Family::Dns,
    name: "A name that leads through a translator",
    tries: "Asks for an allowed name whose record is 10.99.0.7 behind 64:ff9b::/96.",
    danger: "Whoever owns a domain would choose which address behind the firewall is meant.",
    places: Places::Everywhere,
    steps: &[Step::Ask("nat64.test", AAAA)],
    expect: Expect { asks: &["nat64.test"], refusals: &[refusal("dns", "public-names", "private_address")], ..NOTHING },
    on_host: None,
};
