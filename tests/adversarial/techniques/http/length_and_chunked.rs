//! A body with a length and chunks.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "length-and-chunked",
    family: Family::Http,
    name: "A body with a length and chunks",
    tries: "Sends a body that ends at once by its chunks and holds another request by its length.",
    danger: "Request smuggling: what is body to the proxy is a request to the server, and nobody judged it.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Named("allowed.test", 80), &[Bytes(b"POST / HTTP/1.1\r\nHost: allowed.test\r\nContent-Length: 45\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: evil.test\r\n\r\n")])],
    expect: Expect { asks: &["allowed.test"], refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
