//! A name that leads to a unique local address.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "rebinding-unique-local",
    family: Family::Dns,
    name: "A name that leads to a unique local address",
    tries: "Asks for an allowed name whose record is fd00:99::7.",
    danger: "Whoever owns a domain would choose which address behind the firewall is meant.",
    places: Places::Everywhere,
    steps: &[Step::Ask("unique-local.test", AAAA)],
    expect: Expect {
        asks: &["unique-local.test"],
        refusals: &[refusal("dns", "odd-names", "private_address")],
        ..NOTHING
    },
    on_host: None,
};
