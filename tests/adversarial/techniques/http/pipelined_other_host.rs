//! A second request for another host in the same segment.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "pipelined-other-host",
    family: Family::Http,
    name: "A second request for another host in the same segment",
    tries: "Sends two requests at once to an address that both sites share: one for the allowed host, one for its neighbour.",
    danger: "A proxy that judges a connection by its first request passes everything behind it on.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Named("allowed.test", 80),
        &[Bytes(b"GET /first HTTP/1.1\r\nHost: allowed.test\r\n\r\nGET /second HTTP/1.1\r\nHost: evil.test\r\n\r\n")],
    )],
    expect: Expect {
        arrives: &["GET /first allowed.test"],
        reaches: FRONT_WEB,
        asks: &["allowed.test"],
        refusals: &[refusal("http", "default", "no_rule_allows")],
        ..NOTHING
    },
    on_host: None,
};
