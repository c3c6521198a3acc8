//! A backslash within a label.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "escape-in-label",
    family: Family::Dns,
    name: "A backslash within a label",
    tries: "Asks for a name of the labels `allowed\\.evil` and `test`.",
    danger: "Two readers of one name see two names: the filter an allowed one, a server another.",
    places: Places::Everywhere,
    steps: &[Step::Udp(
        Resolver,
        Made("labels `allowed\\.evil` and `test`, A", || question::labels(&[b"allowed\\.evil", b"test"], A)),
    )],
    expect: Expect { refusals: &[refusal("dns", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
