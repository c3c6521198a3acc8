//! A name that leads through a tunnel.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "rebinding-six-to-four",
    family: Family::Dns,
    name: "A name that leads through a tunnel",
    tries: "Asks for an allowed name whose record is 10.99.0.7 within 2002::/16.",
    danger: "Whoever owns a domain would choose which address behind the firewall is meant.",
    places: Places::Everywhere,
    steps: &[Step::Ask("sixtofour.test", AAAA)],
    expect: Expect {
        asks: &["sixtofour.test"],
        refusals: &[refusal("dns", "public-names", "private_address")],
        ..NOTHING
    },
    on_host: None,
};
