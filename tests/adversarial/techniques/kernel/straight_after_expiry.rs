//! An address after its answer expired.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "straight-after-expiry",
    family: Family::Kernel,
    name: "An address after its answer expired",
    tries: "Uses an address that a name led to, and once more when the answer is no longer good.",
    danger: "Addresses change hands: what was the site of a name may be anybody's a minute later.",
    places: Places::Host,
    steps: &[
        Step::Ask("brief.test", A),
        Step::Tcp(At(FRONT, 7000), &[Bytes(b"before")]),
        Step::Outside(Act::Wait(12_000)),
        Step::Tcp(At(FRONT, 7000), &[Bytes(b"after")]),
    ],
    expect: Expect {
        arrives: &["bytes before"],
        reaches: &[(FRONT, 7000)],
        asks: &["brief.test"],
        refusals: &[RAW_TRAFFIC],
        refused_packets: Count::Any,
        ..NOTHING
    },
    on_host: None,
};
