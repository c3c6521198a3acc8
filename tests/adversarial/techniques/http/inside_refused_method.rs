//! A method that is not allowed inside TLS.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "inside-refused-method",
    family: Family::Http,
    name: "A method that is not allowed inside TLS",
    tries: "Reads first, which is allowed, and writes then, which is not.",
    danger: "Whoever may read a site may then write to it.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        CONNECT_MODERN,
        MODERN_HTTP1,
        &[OK_1, Bytes(b"POST /ok/2 HTTP/1.1\r\nHost: modern.test\r\nContent-Length: 8\r\n\r\na secret")],
    )],
    expect: Expect { refusals: &[refusal("https", "default", "no_rule_allows")], ..ONE_GOOD },
    on_host: None,
};
