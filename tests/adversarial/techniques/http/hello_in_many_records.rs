//! A ClientHello in many records.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "hello-in-many-records",
    family: Family::Http,
    name: "A ClientHello in many records",
    tries: "Opens a tunnel, with a ClientHello for the neighbour of which each record has eight bytes.",
    danger: "Who reads a ClientHello otherwise than the server does judges another name than is served.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[
            Bytes(b"CONNECT allowed.test:443 HTTP/1.1\r\nHost: allowed.test:443\r\n\r\n"),
            Made("a ClientHello for evil.test, eight bytes a record", || {
                hello::in_records(&[hello::named("evil.test")], 8)
            }),
        ],
    )],
    expect: Expect {
        asks: &["allowed.test"],
        reaches: FRONT_WEB,
        refusals: &[refusal("connect", "default", "host_mismatch")],
        ..NOTHING
    },
    on_host: None,
};
