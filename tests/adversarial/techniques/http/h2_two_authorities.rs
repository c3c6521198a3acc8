//! Two authorities in one request.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "h2-two-authorities",
    family: Family::Http,
    name: "Two authorities in one request",
    tries: "Names the allowed host and its neighbour in two fields :authority of one request.",
    danger: "Servers differ in which of the two they believe.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        CONNECT_MODERN,
        MODERN_HTTP2,
        &[
            STREAM_1,
            Made("stream 3: GET /ok/2 with :authority modern.test and :authority evil.test", || {
                h2::request(
                    3,
                    &[
                        (":method", "GET"),
                        (":scheme", "https"),
                        (":authority", "modern.test"),
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
