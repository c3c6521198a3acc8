//! A name below an allowed one.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "name-below-allowed",
    family: Family::Dns,
    name: "A name below an allowed one",
    tries: "Asks for a-secret.allowed.test, where only allowed.test is allowed.",
    danger: "Rules that compare pieces of text take it for the other name, and the owner of the domain reads what stands before.",
    places: Places::Everywhere,
    steps: &[Step::Ask("a-secret.allowed.test", A)],
    expect: Expect { refusals: &[refusal("dns", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};
