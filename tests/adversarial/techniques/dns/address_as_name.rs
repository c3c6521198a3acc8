//! An address as a name.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "address-as-name",
    family: Family::Dns,
    name: "An address as a name",
    tries: "Asks for a name of the labels `93`, `184`, `216`, `34`.",
    danger: "Two readers of one name see two names: the filter an allowed one, a server another.",
    places: Places::Everywhere,
    steps: &[Step::Udp(
        Resolver,
        Made("labels `93`, `184`, `216`, `34`, A", || question::labels(&[b"93", b"184", b"216", b"34"], A)),
    )],
    expect: Expect { refusals: &[refusal("dns", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
