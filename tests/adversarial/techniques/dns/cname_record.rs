//! An alias of an allowed name.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "cname-record",
    family: Family::Dns,
    name: "An alias of an allowed name",
    tries: "Asks for type 5 of a name that is allowed for the web.",
    danger: "Aliases carry text in, and no client needs to ask for them.",
    places: Places::Everywhere,
    steps: &[Step::Ask("allowed.test", 5)],
    expect: Expect { refusals: &[refusal("dns", "default", "record_type_not_allowed")], ..NOTHING },
    on_host: None,
};
