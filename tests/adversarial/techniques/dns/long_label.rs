//! A label longer than labels are.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "long-label",
    family: Family::Dns,
    name: "A label longer than labels are",
    tries: "Asks for a name with a length byte of 70, of a kind that no standard has.",
    danger: "Two readers of one name see two names: the filter an allowed one, a server another.",
    places: Places::Everywhere,
    steps: &[Step::Udp(
        Resolver,
        Made("a label of 70 bytes, then `test`", || question::labels(&[&[b'a'; 70], b"test"], A)),
    )],
    expect: Expect { refusals: &[refusal("dns", "default", "malformed_query")], ..NOTHING },
    on_host: None,
};
