//! A name that is not allowed.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "refused-name",
    family: Family::Dns,
    name: "A name that is not allowed",
    tries: "Asks the resolver for a name that no rule allows.",
    danger: "Names carry secrets: whoever answers for the domain reads the question.",
    places: Places::Everywhere,
    steps: &[Step::Ask("a-secret.evil.test", A)],
    expect: Expect { refusals: &[refusal("dns", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};
