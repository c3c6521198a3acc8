//! A tunnel that carries something else.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "tunnel-not-tls",
    family: Family::Http,
    name: "A tunnel that carries something else",
    tries: "Opens a tunnel to the allowed host at port 443 and speaks SSH in it.",
    danger: "A tunnel that is not looked into carries any protocol to whoever listens there.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[
            Bytes(b"CONNECT allowed.test:443 HTTP/1.1\r\nHost: allowed.test:443\r\n\r\n"),
            Bytes(b"SSH-2.0-OpenSSH_9.2\r\n"),
        ],
    )],
    expect: Expect {
        reaches: FRONT_WEB,
        asks: &["allowed.test"],
        refusals: &[refusal("connect", "default", "not_tls")],
        ..NOTHING
    },
    on_host: None,
};
