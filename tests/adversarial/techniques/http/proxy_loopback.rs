//! The host's own loopback through the proxy.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "proxy-loopback",
    family: Family::Http,
    name: "The host's own loopback through the proxy",
    tries: "Asks the proxy for a page of 127.0.0.1.",
    danger: "The proxy stands outside: its loopback is the host's.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Proxy, &[Bytes(b"GET http://127.0.0.1/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")])],
    expect: Expect { refusals: &[refusal("http", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};
