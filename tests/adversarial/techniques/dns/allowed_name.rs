//! An allowed name resolves.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "allowed-name",
    family: Family::Dns,
    name: "An allowed name resolves",
    tries: "Asks for a name that a rule allows: this must work.",
    danger: "A guard that refuses everything proves nothing.",
    places: Places::Everywhere,
    steps: &[Step::Ask("allowed.test", A), Step::Ask("allowed.test", AAAA)],
    expect: Expect { asks: &["allowed.test"], ..NOTHING },
    on_host: None,
};
