//! A body chunked twice.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "chunked-twice",
    family: Family::Http,
    name: "A body chunked twice",
    tries: "Names the coding chunked twice.",
    danger: "Request smuggling: where the body ends is where the next request begins, and two readers must never differ on it.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Named("allowed.test", 80),
        &[Bytes(b"POST / HTTP/1.1\r\nHost: allowed.test\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n")],
    )],
    expect: Expect { asks: &["allowed.test"], refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
