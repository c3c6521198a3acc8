//! A search domain behind a name.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "search-domain",
    family: Family::Dns,
    name: "A search domain behind a name",
    tries: "Asks for a refused name with another domain behind it, as clients do that have a search list, and for an allowed one likewise.",
    danger: "A client's search list carries refused names to the servers of another zone.",
    places: Places::Everywhere,
    steps: &[Step::Ask("a-secret.evil.test.lan", A), Step::Ask("allowed.test.lan", A)],
    expect: Expect { refusals: &[refusals(2, "dns", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};
