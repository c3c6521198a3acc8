//! A ClientHello in upper case.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "hello-upper-case",
    family: Family::Http,
    name: "A ClientHello in upper case",
    tries: "Opens a tunnel to the allowed host and greets it in upper case. It must pass: names have no case.",
    danger: "A guard that is in the way of what is allowed will be switched off.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[
            Bytes(CONNECT_ALLOWED),
            Made("a ClientHello for ALLOWED.TEST", || hello::hello(&[hello::named("ALLOWED.TEST")])),
        ],
    )],
    expect: DIALLED,
    on_host: None,
};
