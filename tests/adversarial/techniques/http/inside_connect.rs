//! CONNECT inside intercepted TLS.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "inside-connect",
    family: Family::Http,
    name: "CONNECT inside intercepted TLS",
    tries: "Asks inside TLS for a tunnel to another host.",
    danger: "A tunnel within a connection that was judged by its requests.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        CONNECT_MODERN,
        MODERN_HTTP1,
        &[Bytes(b"CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n")],
    )],
    expect: Expect { refusals: &[refusal("https", "default", "ambiguous_request")], ..GREETED },
    on_host: None,
};
