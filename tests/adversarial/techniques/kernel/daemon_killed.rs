//! The time without a daemon.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "daemon-killed",
    family: Family::Kernel,
    name: "The time without a daemon",
    tries: "Sends datagrams while the daemon is killed and started again.",
    danger: "What a guard kept shut must not open when the guard falls.",
    places: Places::Host,
    steps: &[
        Step::Sending(At(ELSEWHERE, 7000), Bytes(b"a secret")),
        Step::Outside(Act::Kill),
        Step::Udp(At(ELSEWHERE, 7000), Bytes(b"a secret")),
    ],
    expect: Expect {
        refusals: &[Refusal { times: Count::AtLeast(1), ..RAW_TRAFFIC }],
        refused_packets: Count::Any,
        ..NOTHING
    },
    on_host: None,
};
