//! A multipath TCP connection.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "mptcp",
    family: Family::Kernel,
    name: "A multipath TCP connection",
    tries: "Opens a socket of MPTCP, which may add further addresses to a connection later.",
    danger: "A second path would not go where the first was judged.",
    places: Places::Everywhere,
    steps: &[Step::Socket(Socket { family: INET, kind: STREAM, protocol: 262 }, At(ELSEWHERE, 80), Bytes(b"a secret"))],
    expect: Expect {
        refusals: &[Refusal { times: Count::AtLeast(1), ..RAW_TRAFFIC }],
        refused_packets: Count::AtLeast(1),
        ..NOTHING
    },
    on_host: Some(Expect { refusals: &[RAW_TRAFFIC], ..NOTHING }),
};
