//! A text record of an allowed name.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "text-record",
    family: Family::Dns,
    name: "A text record of an allowed name",
    tries: "Asks for the text records of a name that is allowed for the web.",
    danger: "Text records carry kilobytes in, and nothing that visits a site needs them.",
    places: Places::Everywhere,
    steps: &[Step::Ask("allowed.test", TXT)],
    expect: Expect { refusals: &[refusal("dns", "default", "record_type_not_allowed")], ..NOTHING },
    on_host: None,
};
