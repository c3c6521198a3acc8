//! A hello of TLS 1.0.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "hello-tls10",
    family: Family::Http,
    name: "A hello of TLS 1.0",
    tries: "Opens a tunnel, with a ClientHello of TLS 1.0 without extensions, and so without a name.",
    danger: "Who reads a ClientHello otherwise than the server does judges another name than is served.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[
            Bytes(CONNECT_ALLOWED),
            Made("a ClientHello of TLS 1.0 without extensions", || hello::of_version(0x0301, &[])),
        ],
    )],
    expect: Expect { refusals: &[refusal("connect", "default", "sni_missing")], ..DIALLED },
    on_host: None,
};
