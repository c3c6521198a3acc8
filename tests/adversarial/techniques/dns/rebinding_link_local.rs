//! A name that leads to a link-local address.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "rebinding-link-local",
    family: Family::Dns,
    name: "A name that leads to a link-local address",
    tries: "Asks for an allowed name whose record is fe80::1.",
    danger: "Whoever owns a domain would choose which address behind the firewall is meant.",
    places: Places::Everywhere,
    steps: &[Step::Ask("link-local.test", AAAA)],
    expect: Expect {
        asks: &["link-local.test"],
        refusals: &[refusal("dns", "odd-names", "private_address")],
        ..NOTHING
    },
    on_host: None,
};
