//! A second question behind an allowed one.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "second-question",
    family: Family::Dns,
    name: "A second question behind an allowed one",
    tries: "Sends one message with two questions: the first for an allowed name, the second for one that is not.",
    danger: "A filter that reads the first and passes the message on has let the second out.",
    places: Places::Everywhere,
    steps: &[Step::Udp(Resolver, Made("one message, two questions: allowed.test A, evil.test A", two))],
    expect: Expect { refusals: &[refusal("dns", "default", "malformed_query")], ..NOTHING },
    on_host: None,
};

fn two() -> Vec<u8> {
    let mut message = query(2, "allowed.test", A);
    if let Some(count) = message.get_mut(5) {
        *count = 2;
    }
    message.extend(query(2, "evil.test", A).split_off(12));
    message
}
