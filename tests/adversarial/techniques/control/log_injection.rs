//! A name that forges lines of the audit log.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "log-injection",
    family: Family::Control,
    name: "A name that forges lines of the audit log",
    tries: "Asks for names with line breaks, quotes and terminal escapes in them.",
    danger: "A forged line hides what happened, or says that somebody else did it.",
    places: Places::Everywhere,
    steps: &[Step::Udp(
        Resolver,
        Made("a query for a label with a line break and a record of a refusal in it", forged),
    )],
    expect: Expect { refusals: &[refusal("dns", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};

fn forged() -> Vec<u8> {
    query(3, "x\"}\n{\"agent\":\"neighbour\",\"decision\":\"block\"}\u{1b}[2J.evil.test", A)
}
