//! A line break in a field.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "h2-line-break-in-field",
    family: Family::Http,
    name: "A line break in a field",
    tries: "Sends a field whose value holds a line break and a request.",
    danger: "Translated to HTTP/1.1 it is a request of its own.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        CONNECT_MODERN,
        MODERN_HTTP2,
        &[
            STREAM_1,
            Made("stream 3: GET /ok/2 with x: a, line break, GET /secret", || {
                ok_2_with(&[("x", "a\r\n\r\nGET /secret HTTP/1.1")])
            }),
        ],
    )],
    expect: ONE_GOOD_ONE_AMBIGUOUS,
    on_host: None,
};
