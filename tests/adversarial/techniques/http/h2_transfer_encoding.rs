//! A field of HTTP/1.1 in HTTP/2.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "h2-transfer-encoding",
    family: Family::Http,
    name: "A field of HTTP/1.1 in HTTP/2",
    tries: "Sends transfer-encoding: chunked in HTTP/2.",
    danger: "Translated to HTTP/1.1 it moves the end of the request.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        CONNECT_MODERN,
        MODERN_HTTP2,
        &[
            STREAM_1,
            Made("stream 3: GET /ok/2 with transfer-encoding: chunked", || {
                ok_2_with(&[("transfer-encoding", "chunked")])
            }),
        ],
    )],
    expect: ONE_GOOD_ONE_AMBIGUOUS,
    on_host: None,
};
