//! A name full of labels.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "name-of-many-labels",
    family: Family::Dns,
    name: "A name full of labels",
    tries: "Asks for a name under an allowed suffix that has as many labels before it as fit.",
    danger: "Tunnels fill each name up: 240 bytes a question.",
    places: Places::Everywhere,
    steps: &[Step::Udp(
        Resolver,
        Made("100 labels of one letter before shards.test", || {
            question::labels(&[&[&b"a"[..]; 100][..], &[&b"shards"[..], &b"test"[..]][..]].concat(), A)
        }),
    )],
    expect: Expect { refusals: &[refusal("dns", "shards", "dns_budget_spent")], ..NOTHING },
    on_host: None,
};
