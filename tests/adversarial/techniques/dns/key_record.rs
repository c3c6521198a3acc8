//! The keys of a zone.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "key-record",
    family: Family::Dns,
    name: "The keys of a zone",
    tries: "Asks for the DNSKEY records of an allowed name, which are long and its owner's to choose.",
    danger: "Large records are the way back in of a tunnel.",
    places: Places::Everywhere,
    steps: &[Step::Ask("allowed.test", 48)],
    expect: Expect { refusals: &[refusal("dns", "default", "record_type_not_allowed")], ..NOTHING },
    on_host: None,
};
