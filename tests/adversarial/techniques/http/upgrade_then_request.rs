//! An upgrade that the server does not follow.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "upgrade-then-request",
    family: Family::Http,
    name: "An upgrade that the server does not follow",
    tries: "Asks the allowed host for a WebSocket, which it answers with a page, and for another host right after that.",
    danger: "A proxy that switches before the server does passes on whatever comes next.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Proxy, &[Bytes(b"GET http://allowed.test/socket HTTP/1.1\r\nHost: allowed.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"), Bytes(b"GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n")])],
    expect: Expect { arrives: &["GET /socket allowed.test"], asks: &["allowed.test"], reaches: FRONT_WEB, refusals: &[refusal("http", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};
