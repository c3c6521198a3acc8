//! A name that leads to the loopback.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "rebinding-to-loopback",
    family: Family::Dns,
    name: "A name that leads to the loopback",
    tries: "Asks for an allowed name whose record is 127.0.0.1.",
    danger: "Whoever owns a domain would choose which address behind the firewall is meant.",
    places: Places::Everywhere,
    steps: &[Step::Ask("loopback.test", A)],
    expect: Expect {
        asks: &["loopback.test"],
        refusals: &[refusal("dns", "public-names", "private_address")],
        ..NOTHING
    },
    on_host: None,
};
