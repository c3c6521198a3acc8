//! CONNECT inside HTTP/2.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "h2-connect",
    family: Family::Http,
    name: "CONNECT inside HTTP/2",
    tries: "Asks inside TLS for a tunnel to another host.",
    danger: "A tunnel within a connection that was judged by its requests.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        CONNECT_MODERN,
        MODERN_HTTP2,
        &[
            STREAM_1,
            Made("stream 3: CONNECT evil.test:443", || {
                h2::request(3, &[(":method", "CONNECT"), (":authority", "evil.test:443")])
            }),
        ],
    )],
    expect: ONE_GOOD_ONE_AMBIGUOUS,
    on_host: None,
};
