//! A ClientHello with an empty name.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "hello-empty-name",
    family: Family::Http,
    name: "A ClientHello with an empty name",
    tries: "Opens a tunnel and greets the server with an empty name.",
    danger: "Who reads a ClientHello otherwise than the server does judges another name than is served.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[
            Bytes(CONNECT_ALLOWED),
            Made("a ClientHello whose server name is empty", || hello::hello(&[hello::named("")])),
        ],
    )],
    expect: MALFORMED_HELLO,
    on_host: None,
};
