//! A request for another scheme.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "absolute-ftp",
    family: Family::Http,
    name: "A request for another scheme",
    tries: "Asks the proxy for an absolute target of ftp.",
    danger: "Proxies that speak more protocols than are judged.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Proxy, &[Bytes(b"GET ftp://allowed.test/ HTTP/1.1\r\nHost: allowed.test\r\n\r\n")])],
    expect: Expect { refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
