//! An alias of a private name.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "alias-to-private",
    family: Family::Dns,
    name: "An alias of a private name",
    tries: "Asks for an allowed name that is an alias of one with a private address.",
    danger: "Whoever owns a domain would choose which address behind the firewall is meant.",
    places: Places::Everywhere,
    steps: &[Step::Ask("alias-private.test", A)],
    expect: Expect {
        asks: &["alias-private.test"],
        refusals: &[refusal("dns", "public-names", "private_address")],
        ..NOTHING
    },
    on_host: None,
};
