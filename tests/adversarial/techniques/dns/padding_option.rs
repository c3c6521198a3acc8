//! Padding in a question.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "padding-option",
    family: Family::Dns,
    name: "Padding in a question",
    tries: "Asks for an allowed name that no cache has, with an EDNS option that carries eight bytes or more.",
    danger: "Whoever runs the name servers of an allowed name would read in it what the agent wants to tell.",
    places: Places::Everywhere,
    steps: &[Step::Udp(
        Resolver,
        Made("fresh.test A with padding that is a secret", || {
            question::with_options("fresh.test", 0, &[(12, b"a secret in what nobody reads")])
        }),
    )],
    expect: Expect { asks: &["fresh.test"], ..NOTHING },
    on_host: None,
};
