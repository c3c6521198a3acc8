//! A path that is not allowed inside TLS.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "inside-refused-path",
    family: Family::Http,
    name: "A path that is not allowed inside TLS",
    tries: "Asks for an allowed path first and for one that is not on the same connection.",
    danger: "A proxy that judges the connection passes everything in it on.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        CONNECT_MODERN,
        MODERN_HTTP1,
        &[OK_1, Bytes(b"GET /secret HTTP/1.1\r\nHost: modern.test\r\n\r\n")],
    )],
    expect: Expect { refusals: &[refusal("https", "default", "no_rule_allows")], ..ONE_GOOD },
    on_host: None,
};
