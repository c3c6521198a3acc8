//! A ClientHello with a list of names.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "hello-two-names",
    family: Family::Http,
    name: "A ClientHello with a list of names",
    tries: "Opens a tunnel to the allowed host, with a ClientHello whose extension names two servers.",
    danger: "Who reads a ClientHello otherwise than the server does judges another name than is served.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[
            Bytes(CONNECT_ALLOWED),
            Made("a ClientHello for allowed.test and evil.test in one extension", || {
                hello::hello(&[hello::names(&[(0, b"allowed.test"), (0, b"evil.test")])])
            }),
        ],
    )],
    expect: MALFORMED_HELLO,
    on_host: None,
};
