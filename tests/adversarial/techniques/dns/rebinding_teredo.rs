//! A name that leads to a Teredo address.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "rebinding-teredo",
    family: Family::Dns,
    name: "A name that leads to a Teredo address",
    tries: "Asks for an allowed name whose record is 2001:0:… around 10.99.0.7.",
    danger: "Whoever owns a domain would choose which address behind the firewall is meant.",
    places: Places::Everywhere,
    steps: &[Step::Ask("teredo.test", AAAA)],
    expect: Expect { asks: &["teredo.test"], refusals: &[refusal("dns", "odd-names", "private_address")], ..NOTHING },
    on_host: None,
};
