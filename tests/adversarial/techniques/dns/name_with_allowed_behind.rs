//! A name that ends like an allowed one.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "name-with-allowed-behind",
    family: Family::Dns,
    name: "A name that ends like an allowed one",
    tries: "Asks for evilallowed.test, which ends in allowed.test without a dot before it.",
    danger: "Rules that compare pieces of text take it for the other name, and the owner of the domain reads what stands before.",
    places: Places::Everywhere,
    steps: &[Step::Ask("evilallowed.test", A)],
    expect: Expect { refusals: &[refusal("dns", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};
