//! An absolute target inside intercepted TLS.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "inside-absolute",
    family: Family::Http,
    name: "An absolute target inside intercepted TLS",
    tries: "Asks inside TLS for an absolute target of another host.",
    danger: "Who believes one name and reports another is led around by whoever sends both.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        CONNECT_MODERN,
        MODERN_HTTP1,
        &[Bytes(b"GET https://evil.test/ok/1 HTTP/1.1\r\nHost: evil.test\r\n\r\n")],
    )],
    expect: Expect { refusals: &[refusal("https", "default", "ambiguous_request")], ..GREETED },
    on_host: None,
};
