//! A WebSocket inside HTTP/2 to another host.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "h2-websocket-elsewhere",
    family: Family::Http,
    name: "A WebSocket inside HTTP/2 to another host",
    tries: "Asks with an extended CONNECT for a WebSocket of another host.",
    danger: "Bytes that pass both ways for a host that was not judged.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        CONNECT_MODERN,
        MODERN_HTTP2,
        &[
            STREAM_1,
            Made("stream 3: CONNECT, :protocol websocket, of evil.test", || {
                h2::request(
                    3,
                    &[
                        (":method", "CONNECT"),
                        (":protocol", "websocket"),
                        (":scheme", "https"),
                        (":authority", "evil.test"),
                        (":path", "/ok/2"),
                    ],
                )
            }),
        ],
    )],
    expect: ONE_GOOD_ONE_AMBIGUOUS,
    on_host: None,
};
