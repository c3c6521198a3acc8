//! A host that is not allowed.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "refused-host",
    family: Family::Http,
    name: "A host that is not allowed",
    tries: "Asks the proxy for a page of a site that no rule allows.",
    danger: "This is what a proxy is for.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Proxy, &[Bytes(b"GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n")])],
    expect: Expect { refusals: &[refusal("http", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};
