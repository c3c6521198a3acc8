//! A ClientHello with a null byte in its name.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "hello-null-in-name",
    family: Family::Http,
    name: "A ClientHello with a null byte in its name",
    tries: "Opens a tunnel, with a ClientHello whose name has a null byte in it.",
    danger: "Who reads a ClientHello otherwise than the server does judges another name than is served.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[
            Bytes(CONNECT_ALLOWED),
            Made("a ClientHello for allowed.test, null, .evil.test", || {
                hello::hello(&[hello::names(&[(0, b"allowed.test\0.evil.test")])])
            }),
        ],
    )],
    expect: MALFORMED_HELLO,
    on_host: None,
};
