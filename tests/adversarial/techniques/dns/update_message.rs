//! A message that changes a zone.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "update-message",
    family: Family::Dns,
    name: "A message that changes a zone",
    tries: "Sends an update (RFC 2136) where a query belongs.",
    danger: "A resolver that passes it on lets the agent write where its host may.",
    places: Places::Everywhere,
    steps: &[Step::Udp(Resolver, Made("a query for allowed.test A whose operation code is UPDATE", message))],
    expect: Expect { refusals: &[refusal("dns", "default", "malformed_query")], ..NOTHING },
    on_host: None,
};

fn message() -> Vec<u8> {
    let mut message = query(4, "allowed.test", A);
    if let Some(flags) = message.get_mut(2) {
        *flags = 0x28;
    }
    message
}
