//! A path that is a target.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "h2-absolute-path",
    family: Family::Http,
    name: "A path that is a target",
    tries: "Asks for a path that is a whole target of another host.",
    danger: "Servers differ in which of the two they believe.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        CONNECT_MODERN,
        MODERN_HTTP2,
        &[
            STREAM_1,
            Made("stream 3: GET with :path https://evil.test/ok/2", || {
                h2::request(
                    3,
                    &[
                        (":method", "GET"),
                        (":scheme", "https"),
                        (":authority", "modern.test"),
                        (":path", "https://evil.test/ok/2"),
                    ],
                )
            }),
        ],
    )],
    expect: ONE_GOOD_ONE_AMBIGUOUS,
    on_host: None,
};
