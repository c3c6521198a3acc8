//! A name that leads to the metadata service.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "name-of-metadata",
    family: Family::Dns,
    name: "A name that leads to the metadata service",
    tries: "Asks for an allowed name whose record is 169.254.169.254.",
    danger: "Whoever owns a domain would choose which address behind the firewall is meant.",
    places: Places::Everywhere,
    steps: &[Step::Ask("metadata.test", A)],
    expect: Expect {
        asks: &["metadata.test"],
        refusals: &[refusal("dns", "public-names", "private_address")],
        ..NOTHING
    },
    on_host: None,
};
