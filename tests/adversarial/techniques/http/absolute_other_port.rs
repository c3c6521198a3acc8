//! One port in the target, another in the Host field.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "absolute-other-port",
    family: Family::Http,
    name: "One port in the target, another in the Host field",
    tries: "Asks the proxy for port 80 of the allowed host with port 25 in the Host field.",
    danger: "Who believes one name and reports another is led around by whoever sends both.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Proxy, &[Bytes(b"GET http://allowed.test:80/ HTTP/1.1\r\nHost: allowed.test:25\r\n\r\n")])],
    expect: Expect { refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
