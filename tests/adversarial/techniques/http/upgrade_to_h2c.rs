//! An upgrade to HTTP/2 in the clear.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "upgrade-to-h2c",
    family: Family::Http,
    name: "An upgrade to HTTP/2 in the clear",
    tries: "Asks the allowed host to go on in HTTP/2, and for another host right after that.",
    danger: "After the switch there are streams that nobody judged.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Proxy, &[Bytes(b"GET http://allowed.test/h2c HTTP/1.1\r\nHost: allowed.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"), Bytes(b"GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n")])],
    expect: Expect { arrives: &["GET /h2c allowed.test"], asks: &["allowed.test"], reaches: FRONT_WEB, refusals: &[refusal("http", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};
