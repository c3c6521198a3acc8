//! Another resolver over TCP.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "other-resolver-tcp",
    family: Family::Dns,
    name: "Another resolver over TCP",
    tries: "Sends the question to a resolver outside over TCP, with the length in front.",
    danger: "The same as over UDP; filters forget it.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(At(OUTSIDE_RESOLVER, 53), &[Made("a query for evil.test A after its length", framed)])],
    expect: Expect { refusals: &[refusal("dns", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};

fn framed() -> Vec<u8> {
    let query = query(1, "evil.test", A);
    [vec![0, query.len() as u8], query].concat()
}
