//! An upgrade inside intercepted TLS.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "inside-upgrade",
    family: Family::Http,
    name: "An upgrade inside intercepted TLS",
    tries: "Asks inside TLS to go on in HTTP/2, and for a refused path right after that.",
    danger: "After the switch there are streams that nobody judged.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(CONNECT_MODERN, MODERN_HTTP1, &[Bytes(b"GET /ok/1 HTTP/1.1\r\nHost: modern.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"), Bytes(b"GET /secret HTTP/1.1\r\nHost: modern.test\r\n\r\n")])],
    expect: Expect { refusals: &[refusal("https", "default", "no_rule_allows")], ..ONE_GOOD },
    on_host: None,
};
