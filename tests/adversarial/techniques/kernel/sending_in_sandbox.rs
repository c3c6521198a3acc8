//! Packets from a command's first instruction on.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "sending-in-sandbox",
    family: Family::Kernel,
    name: "Packets from a command's first instruction on",
    tries: "Starts another sandbox, whose command sends datagrams from its first instruction on.",
    danger: "A command that runs before the rules stand has a moment in which nobody looks.",
    places: Places::Sandbox,
    steps: &[Step::Outside(Act::Begin)],
    expect: Expect { refusals: &[Refusal { times: Count::AtLeast(1), ..RAW_TRAFFIC }], ..NOTHING },
    on_host: None,
};
