//! The mail servers of an allowed name.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "mail-record",
    family: Family::Dns,
    name: "The mail servers of an allowed name",
    tries: "Asks for type 15 of a name that is allowed for the web.",
    danger: "They carry names in, and nothing that visits a site needs them.",
    places: Places::Everywhere,
    steps: &[Step::Ask("allowed.test", 15)],
    expect: Expect { refusals: &[refusal("dns", "default", "record_type_not_allowed")], ..NOTHING },
    on_host: None,
};
