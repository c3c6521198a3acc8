//! All records of an allowed name.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "any-record",
    family: Family::Dns,
    name: "All records of an allowed name",
    tries: "Asks for type 255 of a name that is allowed for the web.",
    danger: "One small question with a large answer: a channel in, and a way to flood others.",
    places: Places::Everywhere,
    steps: &[Step::Ask("allowed.test", 255)],
    expect: Expect { refusals: &[refusal("dns", "default", "record_type_not_allowed")], ..NOTHING },
    on_host: None,
};
