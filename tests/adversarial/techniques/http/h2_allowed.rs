//! An allowed request over HTTP/2.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "h2-allowed",
    family: Family::Http,
    name: "An allowed request over HTTP/2",
    tries: "Asks for an allowed path over HTTP/2, seen inside: this must work.",
    danger: "A guard that refuses everything proves nothing.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(CONNECT_MODERN, MODERN_HTTP2, &[STREAM_1])],
    expect: ONE_GOOD,
    on_host: None,
};
