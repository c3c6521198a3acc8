//! A ClientHello with a dot at the end.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "hello-dotted-name",
    family: Family::Http,
    name: "A ClientHello with a dot at the end",
    tries: "Opens a tunnel, with a ClientHello whose name ends in a dot.",
    danger: "Who reads a ClientHello otherwise than the server does judges another name than is served.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[
            Bytes(CONNECT_ALLOWED),
            Made("a ClientHello for allowed.test.", || hello::hello(&[hello::named("allowed.test.")])),
        ],
    )],
    expect: MALFORMED_HELLO,
    on_host: None,
};
