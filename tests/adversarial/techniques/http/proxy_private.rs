//! A private address through the proxy.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "proxy-private",
    family: Family::Http,
    name: "A private address through the proxy",
    tries: "Asks the proxy for a page of 10.99.0.7.",
    danger: "The proxy stands outside: what it dials is reached.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Proxy, &[Bytes(b"GET http://10.99.0.7/ HTTP/1.1\r\nHost: 10.99.0.7\r\n\r\n")])],
    expect: Expect { refusals: &[refusal("http", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};
