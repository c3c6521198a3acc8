//! HTTP/2 in the clear.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "h2c-prior-knowledge",
    family: Family::Http,
    name: "HTTP/2 in the clear",
    tries: "Begins with the preface of HTTP/2 on a connection in the clear.",
    danger: "Streams in a protocol that is not read carry requests that nobody judged.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Proxy, &[Bytes(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")])],
    expect: Expect { refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
