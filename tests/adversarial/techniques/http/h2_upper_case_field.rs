//! A field in upper case.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "h2-upper-case-field",
    family: Family::Http,
    name: "A field in upper case",
    tries: "Sends a field whose name has an upper-case letter, which HTTP/2 does not allow.",
    danger: "Translated to HTTP/1.1 it is a field that nobody judged.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        CONNECT_MODERN,
        MODERN_HTTP2,
        &[STREAM_1, Made("stream 3: GET /ok/2 with a field Host: evil.test", || ok_2_with(&[("Host", "evil.test")]))],
    )],
    expect: ONE_GOOD_ONE_AMBIGUOUS,
    on_host: None,
};
