//! An alias of a refused name.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "alias-to-refused",
    family: Family::Dns,
    name: "An alias of a refused name",
    tries: "Asks for an allowed name that is an alias of one that is not, then for that one.",
    danger: "What an allowed name leads to would be allowed as well.",
    places: Places::Everywhere,
    steps: &[Step::Ask("alias-evil.test", A), Step::Ask("evil.test", A)],
    expect: Expect { asks: &["alias-evil.test"], refusals: &[refusal("dns", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};
