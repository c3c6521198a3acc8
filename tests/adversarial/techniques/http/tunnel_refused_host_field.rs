//! A tunnel to a refused name, a Host field with an allowed one.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "tunnel-refused-host-field",
    family: Family::Http,
    name: "A tunnel to a refused name, a Host field with an allowed one",
    tries: "Asks for a tunnel to the neighbour with the allowed host in the Host field.",
    danger: "Who believes one name and reports another is led around by whoever sends both.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Proxy, &[Bytes(b"CONNECT evil.test:443 HTTP/1.1\r\nHost: allowed.test:443\r\n\r\n")])],
    expect: Expect { refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
