//! A record of a private type.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "unknown-record",
    family: Family::Dns,
    name: "A record of a private type",
    tries: "Asks for type 65280 of a name that is allowed for the web.",
    danger: "Types that no program knows carry whatever the two ends agree on.",
    places: Places::Everywhere,
    steps: &[Step::Ask("allowed.test", 65280)],
    expect: Expect { refusals: &[refusal("dns", "default", "record_type_not_allowed")], ..NOTHING },
    on_host: None,
};
