//! A name that leads to a multicast address.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "rebinding-multicast",
    family: Family::Dns,
    name: "A name that leads to a multicast address",
    tries: "Asks for an allowed name whose records are 224.0.0.251 and ff02::fb.",
    danger: "Whoever owns a domain would choose which address behind the firewall is meant.",
    places: Places::Everywhere,
    steps: &[Step::Ask("multicast.test", A), Step::Ask("multicast.test", AAAA)],
    expect: Expect {
        asks: &["multicast.test"],
        refusals: &[refusals(2, "dns", "odd-names", "private_address")],
        ..NOTHING
    },
    on_host: None,
};
