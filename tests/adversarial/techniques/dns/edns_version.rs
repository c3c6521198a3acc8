//! EDNS of another version.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "edns-version",
    family: Family::Dns,
    name: "EDNS of another version",
    tries: "Asks for an allowed name with EDNS of version 7.",
    danger: "Who passes on what he does not understand does not know what he passed on.",
    places: Places::Everywhere,
    steps: &[Step::Udp(
        Resolver,
        Made("fresh.test A with EDNS version 7", || question::with_options("fresh.test", 7, &[])),
    )],
    expect: Expect { refusals: &[refusal("dns", "default", "malformed_query")], ..NOTHING },
    on_host: None,
};
