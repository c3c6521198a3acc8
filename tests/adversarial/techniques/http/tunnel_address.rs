//! A tunnel to an address.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "tunnel-address",
    family: Family::Http,
    name: "A tunnel to an address",
    tries: "Asks the proxy for a tunnel to an address that no name led to.",
    danger: "Rules on names would not hold for those who know addresses.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Proxy, &[Bytes(b"CONNECT 93.184.216.35:443 HTTP/1.1\r\nHost: 93.184.216.35:443\r\n\r\n")])],
    expect: Expect { refusals: &[refusal("connect", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};
