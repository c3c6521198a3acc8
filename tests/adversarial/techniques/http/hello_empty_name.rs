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
            Bytes(b"CONNECT allowed.test:443 HTTP/1.1\r\nHost: allowed.test:443\r\n\r\n"),
            Made("a ClientHello whose server name is empty", || hello::hello(&[hello::named("")])),
        ],
    )],
    expect: Expect {
        asks: &["allowed.test"],
        reaches: FRONT_WEB,
        refusals: &[refusal("connect", "default", "malformed_client_hello")],
        ..NOTHING
    },
    on_host: None,
};
