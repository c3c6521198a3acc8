//! The metadata service through the proxy.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "proxy-metadata",
    family: Family::Http,
    name: "The metadata service through the proxy",
    tries: "Asks the proxy for a page of 169.254.169.254.",
    danger: "The proxy stands outside: what it dials is reached.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Proxy, &[Bytes(b"GET http://169.254.169.254/ HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n")])],
    expect: Expect { refusals: &[refusal("http", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};
