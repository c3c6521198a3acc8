//! A hello of SSL 2.0.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "hello-ssl2",
    family: Family::Http,
    name: "A hello of SSL 2.0",
    tries: "Opens a tunnel and greets the server as clients of SSL 2.0 did, which could name no server.",
    danger: "Who reads a ClientHello otherwise than the server does judges another name than is served.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Proxy, &[Bytes(CONNECT_ALLOWED), Made("a CLIENT-HELLO of SSL 2.0", hello::ssl2)])],
    expect: Expect { refusals: &[refusal("connect", "default", "not_tls")], ..DIALLED },
    on_host: None,
};
