//! A message behind the ClientHello.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "hello-with-message-behind",
    family: Family::Http,
    name: "A message behind the ClientHello",
    tries: "Opens a tunnel, with a ClientHello that has a second handshake message in its record.",
    danger: "Who reads a ClientHello otherwise than the server does judges another name than is served.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[
            Bytes(b"CONNECT allowed.test:443 HTTP/1.1\r\nHost: allowed.test:443\r\n\r\n"),
            Made("a ClientHello for allowed.test and the beginning of another message in one record", || {
                hello::followed(&[hello::named("allowed.test")], &[1, 0, 0, 8])
            }),
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
