//! A label in Unicode.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "unicode-label",
    family: Family::Dns,
    name: "A label in Unicode",
    tries: "Asks for a name of the labels `allowеd` with a Cyrillic letter and `test`.",
    danger: "Two readers of one name see two names: the filter an allowed one, a server another.",
    places: Places::Everywhere,
    steps: &[Step::Udp(
        Resolver,
        Made("labels `allowеd` with a Cyrillic letter and `test`, A", || {
            question::labels(&["allowеd".as_bytes(), b"test"], A)
        }),
    )],
    expect: Expect { refusals: &[refusal("dns", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
