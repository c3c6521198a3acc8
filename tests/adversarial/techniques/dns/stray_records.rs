//! Records for another name in an answer.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "stray-records",
    family: Family::Dns,
    name: "Records for another name in an answer",
    tries: "Asks for a name whose answer also has another site's address for an allowed name, then for a page of that.",
    danger: "One server that says too much would move the names of others.",
    places: Places::Everywhere,
    steps: &[
        Step::Ask("stray.test", A),
        Step::Tcp(Proxy, &[Bytes(b"GET http://allowed.test/ HTTP/1.1\r\nHost: allowed.test\r\n\r\n")]),
    ],
    expect: Expect {
        arrives: &["GET / allowed.test"],
        asks: &["stray.test", "allowed.test"],
        reaches: FRONT_WEB,
        ..NOTHING
    },
    on_host: None,
};
