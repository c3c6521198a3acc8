//! A tunnel to the metadata service.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "tunnel-metadata",
    family: Family::Http,
    name: "A tunnel to the metadata service",
    tries: "Asks the proxy for a tunnel to 169.254.169.254.",
    danger: "The proxy stands outside: what it dials is reached.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Proxy, &[Bytes(b"CONNECT 169.254.169.254:80 HTTP/1.1\r\nHost: 169.254.169.254:80\r\n\r\n")])],
    expect: Expect { refusals: &[refusal("connect", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};
