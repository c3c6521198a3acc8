//! Another host inside intercepted TLS.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "inside-other-host",
    family: Family::Http,
    name: "Another host inside intercepted TLS",
    tries: "Shakes hands for a host that is seen inside, and asks for another within.",
    danger: "The tunnel was judged by one name, the request is served by another.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        CONNECT_MODERN,
        MODERN_HTTP1,
        &[OK_1, Bytes(b"GET /ok/2 HTTP/1.1\r\nHost: evil.test\r\n\r\n")],
    )],
    expect: Expect { refusals: &[refusal("https", "default", "host_mismatch")], ..ONE_GOOD },
    on_host: None,
};
