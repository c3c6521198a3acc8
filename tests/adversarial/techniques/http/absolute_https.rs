//! A request for https in the clear.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "absolute-https",
    family: Family::Http,
    name: "A request for https in the clear",
    tries: "Asks the proxy for an absolute target of https, without a tunnel.",
    danger: "A proxy that makes TLS for its client serves what no rule on tunnels was asked for.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Proxy, &[Bytes(b"GET https://allowed.test/ HTTP/1.1\r\nHost: allowed.test\r\n\r\n")])],
    expect: Expect { refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
