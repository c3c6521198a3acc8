//! Another scheme inside TLS.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "h2-other-scheme",
    family: Family::Http,
    name: "Another scheme inside TLS",
    tries: "Asks for an allowed path with the scheme http.",
    danger: "What is judged as https would be served as http.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        CONNECT_MODERN,
        MODERN_HTTP2,
        &[
            STREAM_1,
            Made("stream 3: GET /ok/2 with :scheme http", || {
                h2::request(
                    3,
                    &[(":method", "GET"), (":scheme", "http"), (":authority", "modern.test"), (":path", "/ok/2")],
                )
            }),
        ],
    )],
    expect: ONE_GOOD_ONE_AMBIGUOUS,
    on_host: None,
};
