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
            Bytes(CONNECT_ALLOWED),
            Made("a ClientHello for allowed.test and the beginning of another message in one record", || {
                hello::followed(&[hello::named("allowed.test")], &[1, 0, 0, 8])
            }),
        ],
    )],
    expect: MALFORMED_HELLO,
    on_host: None,
};
