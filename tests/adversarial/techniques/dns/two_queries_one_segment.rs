//! Two queries in one segment.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "two-queries-one-segment",
    family: Family::Dns,
    name: "Two queries in one segment",
    tries: "Sends two queries over one TCP connection at once: the first for an allowed name, the second for one that is not.",
    danger: "A filter that reads one and passes the rest on has let the second out.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Resolver,
        &[Made("allowed.test A and evil.test A, each after its length, in one segment", both)],
    )],
    expect: Expect { asks: &["allowed.test"], refusals: &[refusal("dns", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};

fn both() -> Vec<u8> {
    ["allowed.test", "evil.test"].iter().flat_map(|name| framed(&query(7, name, A))).collect()
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}
