//! A question that ends too early.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "cut-question",
    family: Family::Dns,
    name: "A question that ends too early",
    tries: "Sends the first half of a query.",
    danger: "Readers that guess the rest guess differently.",
    places: Places::Everywhere,
    steps: &[Step::Udp(Resolver, Made("the first 16 bytes of a query for evil.test A", message))],
    expect: Expect { refusals: &[refusal("dns", "default", "malformed_query")], ..NOTHING },
    on_host: None,
};

fn message() -> Vec<u8> {
    let mut message = query(4, "evil.test", A);
    message.truncate(16);
    message
}
