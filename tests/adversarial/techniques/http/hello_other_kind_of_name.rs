//! A ClientHello with a name of another kind.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "hello-other-kind-of-name",
    family: Family::Http,
    name: "A ClientHello with a name of another kind",
    tries: "Opens a tunnel, with a ClientHello whose name has a type that no standard has.",
    danger: "Who reads a ClientHello otherwise than the server does judges another name than is served.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[
            Bytes(CONNECT_ALLOWED),
            Made("a ClientHello with a name of type 1", || hello::hello(&[hello::names(&[(1, b"evil.test")])])),
        ],
    )],
    expect: MALFORMED_HELLO,
    on_host: None,
};
