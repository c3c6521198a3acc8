//! The operator's interface at the proxy's port.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "operator-over-proxy",
    family: Family::Control,
    name: "The operator's interface at the proxy's port",
    tries: "Asks the proxy itself for the rules and the metrics, as if it were a server.",
    danger: "Many a proxy serves its own pages on the port that its clients use.",
    places: Places::Everywhere,
    steps: &[
        Step::Tcp(Proxy, &[Bytes(b"GET /api/v1/rules HTTP/1.1\r\nHost: outcall\r\n\r\n")]),
        Step::Tcp(Proxy, &[Bytes(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")]),
    ],
    expect: Expect { refusals: &[refusals(2, "http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
