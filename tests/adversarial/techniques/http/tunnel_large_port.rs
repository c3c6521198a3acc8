//! A tunnel to a port past the last.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "tunnel-large-port",
    family: Family::Http,
    name: "A tunnel to a port past the last",
    tries: "Asks for a tunnel to port 65979 of the allowed host, which is 443 in sixteen bits.",
    danger: "Where a number wraps around, one port is judged and another dialled.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Proxy, &[Bytes(b"CONNECT allowed.test:65979 HTTP/1.1\r\nHost: allowed.test:65979\r\n\r\n")])],
    expect: Expect { refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
