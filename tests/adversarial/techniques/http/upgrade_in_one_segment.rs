//! A request behind an upgrade in one segment.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "upgrade-in-one-segment",
    family: Family::Http,
    name: "A request behind an upgrade in one segment",
    tries: "Asks for a WebSocket and sends a request for another host behind it without waiting.",
    danger: "What comes with the request for a switch is judged as if the switch had been made.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Proxy, &[Bytes(b"GET http://allowed.test/socket HTTP/1.1\r\nHost: allowed.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 777\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nGET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n")])],
    expect: Expect { arrives: &["GET /socket allowed.test"], asks: &["allowed.test"], reaches: FRONT_WEB, refusals: &[refusal("http", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};
