//! A question of another class.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "other-class",
    family: Family::Dns,
    name: "A question of another class",
    tries: "Asks for an allowed name in the class CHAOS.",
    danger: "Classes are a second name space that rules on names do not see.",
    places: Places::Everywhere,
    steps: &[Step::Udp(Resolver, Made("a query for allowed.test A in class 3", message))],
    expect: Expect { refusals: &[refusal("dns", "default", "malformed_query")], ..NOTHING },
    on_host: None,
};

fn message() -> Vec<u8> {
    let mut message = query(4, "allowed.test", A);
    if let Some(class) = message.last_mut() {
        *class = 3;
    }
    message
}
