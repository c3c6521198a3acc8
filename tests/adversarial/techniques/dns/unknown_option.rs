//! An unknown option in a question.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "unknown-option",
    family: Family::Dns,
    name: "An unknown option in a question",
    tries: "Asks for an allowed name that no cache has, with an EDNS option that carries eight bytes or more.",
    danger: "Whoever runs the name servers of an allowed name would read in it what the agent wants to tell.",
    places: Places::Everywhere,
    steps: &[Step::Udp(
        Resolver,
        Made("fresh.test A with an option for experiments that holds a secret", || {
            question::with_options("fresh.test", 0, &[(65001, b"a secret")])
        }),
    )],
    expect: Expect { asks: &["fresh.test"], ..NOTHING },
    on_host: None,
};
