//! A flow through the kernel after the rules changed.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "straight-after-change",
    family: Family::Kernel,
    name: "A flow through the kernel after the rules changed",
    tries: "Opens a connection that goes straight out, has its rule taken away, and sends more over it.",
    danger: "What passes by connection tracking is looked at once, and a change of the rules is not seen by it.",
    places: Places::Host,
    steps: &[
        Step::Ask("brief.test", A),
        Step::Keep(At(FRONT, 7000), &[Bytes(b"before")]),
        Step::Outside(Act::Rules("\"brief.test\"", "\"nobody.test\"")),
        Step::Again(&[Bytes(b"after")]),
        Step::Outside(Act::RulesAgain),
    ],
    expect: Expect {
        arrives: &["bytes before"],
        reaches: &[(FRONT, 7000)],
        asks: &["brief.test"],
        refusals: &[Refusal { times: Count::Any, ..RAW_TRAFFIC }],
        refused_packets: Count::Any,
        ..NOTHING
    },
    on_host: None,
};
