//! A tunnel to a host that is not allowed.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "tunnel-refused-name",
    family: Family::Http,
    name: "A tunnel to a host that is not allowed",
    tries: "Asks the proxy for a tunnel to evil.test.",
    danger: "This is what a proxy is for.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Proxy, &[Bytes(b"CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n")])],
    expect: Expect { refusals: &[refusal("connect", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};
