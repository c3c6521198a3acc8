//! A body with a length and chunks inside TLS.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "inside-length-and-chunked",
    family: Family::Http,
    name: "A body with a length and chunks inside TLS",
    tries: "Smuggles a request within a body, inside TLS that is looked into.",
    danger: "What is body to the proxy is a request to the server, and nobody judged it.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(CONNECT_MODERN, MODERN_HTTP1, &[OK_1, Bytes(b"GET /ok/2 HTTP/1.1\r\nHost: modern.test\r\nContent-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /secret HTTP/1.1\r\nHost: modern.test\r\n\r\n")])],
    expect: ONE_GOOD_ONE_AMBIGUOUS,
    on_host: None,
};
