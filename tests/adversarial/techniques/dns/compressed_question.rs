//! A question that points at itself.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "compressed-question",
    family: Family::Dns,
    name: "A question that points at itself",
    tries: "Sends a question whose name is a pointer to itself.",
    danger: "Readers that follow it never come back, or read another name than the next reader.",
    places: Places::Everywhere,
    steps: &[Step::Udp(Resolver, Made("a query whose name is a pointer to its own beginning", message))],
    expect: Expect { refusals: &[refusal("dns", "default", "malformed_query")], ..NOTHING },
    on_host: None,
};

fn message() -> Vec<u8> {
    let mut message = query(4, "x", A);
    message.truncate(12);
    message.extend([0xc0, 12, 0, 1, 0, 1]);
    message
}
