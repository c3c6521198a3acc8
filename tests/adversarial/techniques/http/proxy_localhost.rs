//! The host's own loopback by its name.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "proxy-localhost",
    family: Family::Http,
    name: "The host's own loopback by its name",
    tries: "Asks the proxy for a page of localhost.",
    danger: "The proxy stands outside: its loopback is the host's.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Proxy, &[Bytes(b"GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n")])],
    expect: Expect { refusals: &[refusal("http", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};
