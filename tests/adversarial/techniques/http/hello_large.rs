//! A large ClientHello.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "hello-large",
    family: Family::Http,
    name: "A large ClientHello",
    tries: "Opens a tunnel, with a ClientHello of 17 KiB that names the neighbour at its end.",
    danger: "Who reads a ClientHello otherwise than the server does judges another name than is served.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[
            Bytes(CONNECT_ALLOWED),
            Made("a ClientHello of 17 KiB: padding, then evil.test", || {
                hello::hello(&[hello::padding(17 << 10), hello::named("evil.test")])
            }),
        ],
    )],
    expect: OTHER_NAME_IN_HELLO,
    on_host: None,
};
