//! A tunnel to one name, a Host field with another.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "tunnel-other-host-field",
    family: Family::Http,
    name: "A tunnel to one name, a Host field with another",
    tries: "Asks for a tunnel to the allowed host with its neighbour in the Host field.",
    danger: "Who believes one name and reports another is led around by whoever sends both.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Proxy, &[Bytes(b"CONNECT allowed.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n")])],
    expect: Expect { refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
