//! A null byte within a label.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "nul-in-label",
    family: Family::Dns,
    name: "A null byte within a label",
    tries: "Asks for a name of the labels `allowed` and `test`, null, `.evil`.",
    danger: "Two readers of one name see two names: the filter an allowed one, a server another.",
    places: Places::Everywhere,
    steps: &[Step::Udp(
        Resolver,
        Made("labels `allowed` and `test`, null, `.evil`, A", || question::labels(&[b"allowed", b"test\0.evil"], A)),
    )],
    expect: Expect { refusals: &[refusal("dns", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
