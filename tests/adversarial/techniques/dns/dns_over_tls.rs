//! A resolver over TLS.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "dns-over-tls",
    family: Family::Dns,
    name: "A resolver over TLS",
    tries: "Connects to port 853 of a resolver outside.",
    danger: "Questions inside TLS are read by nobody but their receiver.",
    places: Places::Everywhere,
    steps: &[Step::Tls(At(OUTSIDE_RESOLVER, 853), Tls { sni: "dns.evil.test", alpn: &["dot"] }, &[])],
    expect: ONE_PACKET,
    on_host: Some(Expect { refusals: &[refusal("connect", "default", "no_rule_allows")], ..NOTHING }),
};
