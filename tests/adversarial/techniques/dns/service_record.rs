//! The services of an allowed name.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "service-record",
    family: Family::Dns,
    name: "The services of an allowed name",
    tries: "Asks for type 33 of a name that is allowed for the web.",
    danger: "They carry names and numbers in, and nothing that visits a site needs them.",
    places: Places::Everywhere,
    steps: &[Step::Ask("allowed.test", 33)],
    expect: Expect { refusals: &[refusal("dns", "default", "record_type_not_allowed")], ..NOTHING },
    on_host: None,
};
