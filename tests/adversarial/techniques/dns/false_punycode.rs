//! A label that is no Punycode.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "false-punycode",
    family: Family::Dns,
    name: "A label that is no Punycode",
    tries: "Asks for a name of the labels `xn--a` and `allowed` and `test`.",
    danger: "Two readers of one name see two names: the filter an allowed one, a server another.",
    places: Places::Everywhere,
    steps: &[Step::Udp(
        Resolver,
        Made("labels `xn--a` and `allowed` and `test`, A", || question::labels(&[b"xn--a", b"allowed", b"test"], A)),
    )],
    expect: Expect { refusals: &[refusal("dns", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
