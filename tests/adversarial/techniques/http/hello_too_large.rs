//! A ClientHello that is too large.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "hello-too-large",
    family: Family::Http,
    name: "A ClientHello that is too large",
    tries: "Opens a tunnel, with a ClientHello that is larger than any server takes.",
    danger: "Who reads a ClientHello otherwise than the server does judges another name than is served.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[
            Bytes(CONNECT_ALLOWED),
            Made("a ClientHello of 72 KiB", || {
                hello::in_records(
                    &[hello::padding(60_000), (0x1234, vec![0; 12_000]), hello::named("evil.test")],
                    1 << 14,
                )
            }),
        ],
    )],
    expect: MALFORMED_HELLO,
    on_host: None,
};
