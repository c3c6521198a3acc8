//! A notification.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "notify-message",
    family: Family::Dns,
    name: "A notification",
    tries: "Sends a message about an allowed name that is no plain question.",
    danger: "Who passes on what he does not understand does not know what he passed on.",
    places: Places::Everywhere,
    steps: &[Step::Udp(Resolver, Made("NOTIFY for allowed.test", || question::with_byte("allowed.test", 2, 0x20)))],
    expect: Expect { refusals: &[refusal("dns", "default", "malformed_query")], ..NOTHING },
    on_host: None,
};
