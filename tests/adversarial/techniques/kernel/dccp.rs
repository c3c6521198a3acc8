//! A DCCP connection.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "dccp",
    family: Family::Kernel,
    name: "A DCCP connection",
    tries: "Opens a socket of DCCP and connects it.",
    danger: "A transport that rules on TCP and UDP do not name would pass where the last rule is not a refusal.",
    places: Places::Everywhere,
    steps: &[Step::Socket(Socket { family: INET, kind: 6, protocol: 33 }, At(ELSEWHERE, 7000), Bytes(b"a secret"))],
    expect: Expect {
        refusals: &[Refusal { times: Count::AtLeast(1), ..RAW_TRAFFIC }],
        refused_packets: Count::AtLeast(1),
        ..NOTHING
    },
    on_host: None,
};
