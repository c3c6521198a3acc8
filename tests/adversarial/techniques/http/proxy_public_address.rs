//! A public address through the proxy.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "proxy-public-address",
    family: Family::Http,
    name: "A public address through the proxy",
    tries: "Asks the proxy for a page of an address that no name led to.",
    danger: "Rules on names would not hold for those who know addresses.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Proxy, &[Bytes(b"GET http://93.184.216.35/ HTTP/1.1\r\nHost: 93.184.216.35\r\n\r\n")])],
    expect: Expect { refusals: &[refusal("http", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};
