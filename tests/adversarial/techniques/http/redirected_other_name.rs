//! Another name at an allowed address.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "redirected-other-name",
    family: Family::Http,
    name: "Another name at an allowed address",
    tries: "Connects to the address that it was told for the allowed host, and greets its neighbour there.",
    danger: "Domain fronting without a proxy: the kernel sees an allowed address.",
    places: Places::Everywhere,
    steps: &[Step::Tls(
        Named("allowed.test", 443),
        Tls { sni: "evil.test", alpn: &["http/1.1"] },
        &[Bytes(b"GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n")],
    )],
    expect: Expect { asks: &["allowed.test"], refusals: &[refusal("connect", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};
