//! A tunnel to the port of DNS over TLS.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "tunnel-name-server-port",
    family: Family::Http,
    name: "A tunnel to the port of DNS over TLS",
    tries: "Asks for a tunnel to port 853 of the allowed host.",
    danger: "A resolver of the agent's own choice, behind a name that is allowed.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Proxy, &[Bytes(b"CONNECT allowed.test:853 HTTP/1.1\r\nHost: allowed.test:853\r\n\r\n")])],
    expect: Expect { refusals: &[refusal("connect", "web", "port_not_open")], ..NOTHING },
    on_host: None,
};
