//! A name in mixed case.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "mixed-case",
    family: Family::Dns,
    name: "A name in mixed case",
    tries: "Asks for an allowed name with a bit of a secret in the case of each letter.",
    danger: "A name's case reaches the servers of its zone, which may read it (0x20).",
    places: Places::Everywhere,
    steps: &[Step::Ask("FrEsH.tEsT", A), Step::Ask("fReSh.TeSt", AAAA)],
    expect: Expect { asks: &["fresh.test"], ..NOTHING },
    on_host: None,
};
