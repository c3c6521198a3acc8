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
            Bytes(b"CONNECT allowed.test:443 HTTP/1.1\r\nHost: allowed.test:443\r\n\r\n"),
            Made("a ClientHello for allowed.test, null, .evil.test", || {
                hello::hello(&[hello::names(&[(0, b"allowed.test\0.evil.test")])])
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
