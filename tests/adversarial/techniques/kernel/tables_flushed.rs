//! Tables that somebody deletes.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "tables-flushed",
    family: Family::Kernel,
    name: "Tables that somebody deletes",
    tries: "Sends a datagram a second after somebody deleted the tables of the kernel.",
    danger: "Other programs manage rules on the same host, and some of them begin with an empty slate.",
    places: Places::Host,
    steps: &[Step::Outside(Act::Flush), Step::Udp(At(ELSEWHERE, 7000), Bytes(b"a secret"))],
    expect: Expect { refusals: &[RAW_TRAFFIC], refused_packets: Count::Any, ..NOTHING },
    on_host: None,
};
