//! A tunnel to port 25 of an allowed host.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "tunnel-mail-port",
    family: Family::Http,
    name: "A tunnel to port 25 of an allowed host",
    tries: "Asks the proxy for a tunnel to port 25 of a host that is allowed for the web.",
    danger: "An allowed site is not allowed in all it does.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Proxy, &[Bytes(b"CONNECT allowed.test:25 HTTP/1.1\r\nHost: allowed.test:25\r\n\r\n")])],
    expect: Expect { refusals: &[refusal("connect", "web", "port_not_open")], ..NOTHING },
    on_host: None,
};
