//! A full-width dot.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "full-width-dot",
    family: Family::Dns,
    name: "A full-width dot",
    tries: "Asks for a name of one label `allowed。test` in UTF-8.",
    danger: "Two readers of one name see two names: the filter an allowed one, a server another.",
    places: Places::Everywhere,
    steps: &[Step::Udp(
        Resolver,
        Made("one label `allowed。test` in UTF-8, A", || question::labels(&["allowed。test".as_bytes()], A)),
    )],
    expect: Expect { refusals: &[refusal("dns", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
