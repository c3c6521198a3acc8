//! Two paths in one request.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "h2-two-paths",
    family: Family::Http,
    name: "Two paths in one request",
    tries: "Names an allowed path and another in two fields :path of one request.",
    danger: "Servers differ in which of the two they believe.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        CONNECT_MODERN,
        MODERN_HTTP2,
        &[STREAM_1, Made("stream 3: GET with :path /ok/2 and :path /secret", || ok_2_with(&[(":path", "/secret")]))],
    )],
    expect: ONE_GOOD_ONE_AMBIGUOUS,
    on_host: None,
};
