//! A kept connection after the rules changed.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "kept-request-after-change",
    family: Family::Kernel,
    name: "A kept connection after the rules changed",
    tries: "Sends a request, has the site taken out of the rules, and sends another over the same connection.",
    danger: "A connection that was allowed once would be allowed for as long as it is kept.",
    places: Places::Host,
    steps: &[
        Step::Keep(Proxy, &[Bytes(b"GET http://allowed.test/before HTTP/1.1\r\nHost: allowed.test\r\n\r\n")]),
        Step::Outside(Act::Rules("\"allowed.test\"", "\"nobody.test\"")),
        Step::Again(&[Bytes(b"GET http://allowed.test/after HTTP/1.1\r\nHost: allowed.test\r\n\r\n")]),
        Step::Outside(Act::RulesAgain),
    ],
    expect: Expect {
        arrives: &["GET /before allowed.test"],
        reaches: FRONT_WEB,
        asks: &["allowed.test"],
        refusals: &[refusal("http", "default", "no_rule_allows")],
        refused_packets: Count::Any,
        ..NOTHING
    },
    on_host: None,
};
