//! A null record of an allowed name.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "null-record",
    family: Family::Dns,
    name: "A null record of an allowed name",
    tries: "Asks for type 10 of a name that is allowed for the web.",
    danger: "It holds any bytes: the favourite of tunnels.",
    places: Places::Everywhere,
    steps: &[Step::Ask("allowed.test", 10)],
    expect: Expect { refusals: &[refusal("dns", "default", "record_type_not_allowed")], ..NOTHING },
    on_host: None,
};
