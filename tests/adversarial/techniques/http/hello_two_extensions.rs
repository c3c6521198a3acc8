//! A ClientHello that names a server twice.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "hello-two-extensions",
    family: Family::Http,
    name: "A ClientHello that names a server twice",
    tries: "Opens a tunnel to the allowed host, with a ClientHello that has the extension for names twice: the allowed one and its neighbour.",
    danger: "Who reads a ClientHello otherwise than the server does judges another name than is served.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[
            Bytes(CONNECT_ALLOWED),
            Made("a ClientHello with two server_name extensions: allowed.test, evil.test", || {
                hello::hello(&[hello::named("allowed.test"), hello::named("evil.test")])
            }),
        ],
    )],
    expect: MALFORMED_HELLO,
    on_host: None,
};
