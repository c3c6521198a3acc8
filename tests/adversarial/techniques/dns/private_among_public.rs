//! A private address among public ones.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "private-among-public",
    family: Family::Dns,
    name: "A private address among public ones",
    tries: "Asks for a name with one address of each kind, and connects to all that it is told.",
    danger: "A client goes on to the next address where the first does not answer.",
    places: Places::Everywhere,
    steps: &[
        Step::Ask("mixed.test", AAAA),
        Step::Tcp(Named("mixed.test", 80), &[Bytes(b"GET / HTTP/1.1\r\nHost: mixed.test\r\n\r\n")]),
    ],
    expect: Expect { arrives: &["GET / mixed.test"], asks: &["mixed.test"], reaches: FRONT_WEB, ..NOTHING },
    on_host: None,
};
