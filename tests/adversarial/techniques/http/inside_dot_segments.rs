//! A path with dots inside TLS.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "inside-dot-segments",
    family: Family::Http,
    name: "A path with dots inside TLS",
    tries: "Asks for /ok/../secret, where only paths below /ok/ are allowed.",
    danger: "The rule sees a path below /ok/, the server one beside it.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        CONNECT_MODERN,
        MODERN_HTTP1,
        &[OK_1, Bytes(b"GET /ok/../secret HTTP/1.1\r\nHost: modern.test\r\n\r\n")],
    )],
    expect: ONE_GOOD_ONE_AMBIGUOUS,
    on_host: None,
};
