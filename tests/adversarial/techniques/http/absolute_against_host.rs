//! An absolute address against the Host field.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "absolute-against-host",
    family: Family::Http,
    name: "An absolute address against the Host field",
    tries: "Writes the allowed host into the request line and its neighbour into the Host field.",
    danger: "Servers differ in which of the two they believe.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Proxy, &[Bytes(b"GET http://allowed.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n")])],
    expect: Expect { refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
