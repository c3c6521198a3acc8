//! A dot within a label.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "dot-in-label",
    family: Family::Dns,
    name: "A dot within a label",
    tries: "Asks for a name of one label `allowed.test`.",
    danger: "Two readers of one name see two names: the filter an allowed one, a server another.",
    places: Places::Everywhere,
    steps: &[Step::Udp(Resolver, Made("one label `allowed.test`, A", || question::labels(&[b"allowed.test"], A)))],
    expect: Expect { refusals: &[refusal("dns", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
