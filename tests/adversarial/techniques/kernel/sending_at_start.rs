//! Packets before there are rules.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "sending-at-start",
    family: Family::Kernel,
    name: "Packets before there are rules",
    tries: "Has something send from its first instruction on in a namespace that is then attached as an agent.",
    danger: "Between the cable and the rules there may be a moment, and a program that starts first is there in it.",
    places: Places::Host,
    steps: &[Step::Outside(Act::Attach)],
    expect: Expect {
        refusals: &[
            Refusal { times: Count::AtLeast(1), ..RAW_TRAFFIC },
            Refusal { times: Count::Any, ..refusal("network", "default", "forged_source") },
        ],
        nameless: true,
        refused_packets: Count::AtLeast(1),
        ..NOTHING
    },
    on_host: None,
};
