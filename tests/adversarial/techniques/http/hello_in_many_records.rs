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
            Bytes(CONNECT_ALLOWED),
            Made("a ClientHello for evil.test, eight bytes a record", || {
                hello::in_records(&[hello::named("evil.test")], 8)
            }),
        ],
    )],
    expect: OTHER_NAME_IN_HELLO,
    on_host: None,
};
