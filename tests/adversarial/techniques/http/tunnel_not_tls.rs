//! A tunnel that carries something else.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "tunnel-not-tls",
    family: Family::Http,
    name: "A tunnel that carries something else",
    tries: "Opens a tunnel to the allowed host at port 443 and speaks SSH in it.",
    danger: "A tunnel that is not looked into carries any protocol to whoever listens there.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Proxy, &[Bytes(CONNECT_ALLOWED), Bytes(b"SSH-2.0-OpenSSH_9.2\r\n")])],
    expect: Expect { refusals: &[refusal("connect", "default", "not_tls")], ..DIALLED },
    on_host: None,
};
