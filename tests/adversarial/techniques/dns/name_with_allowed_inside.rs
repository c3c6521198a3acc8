//! An allowed name in the middle of another.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "name-with-allowed-inside",
    family: Family::Dns,
    name: "An allowed name in the middle of another",
    tries: "Asks for allowed.test.evil.test.",
    danger: "Rules that compare pieces of text take it for the other name, and the owner of the domain reads what stands before.",
    places: Places::Everywhere,
    steps: &[Step::Ask("allowed.test.evil.test", A)],
    expect: Expect { refusals: &[refusal("dns", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};
