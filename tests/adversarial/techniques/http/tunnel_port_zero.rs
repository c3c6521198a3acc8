//! A tunnel to port 0.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "tunnel-port-zero",
    family: Family::Http,
    name: "A tunnel to port 0",
    tries: "Asks for a tunnel to port 0 of the allowed host.",
    danger: "What means nothing means something to somebody.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Proxy, &[Bytes(b"CONNECT allowed.test:0 HTTP/1.1\r\nHost: allowed.test:0\r\n\r\n")])],
    expect: Expect { refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
