//! An encrypted ClientHello behind another name.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "hello-with-ech",
    family: Family::Http,
    name: "An encrypted ClientHello behind another name",
    tries: "Opens a tunnel to the allowed host, with an outer ClientHello for another one and an encrypted one within.",
    danger: "The name within is the one that is served, and nobody on the way can read it.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[
            Bytes(CONNECT_ALLOWED),
            Made("a ClientHello for evil.test with encrypted_client_hello", || {
                hello::hello(&[hello::named("evil.test"), hello::encrypted()])
            }),
        ],
    )],
    expect: OTHER_NAME_IN_HELLO,
    on_host: None,
};
