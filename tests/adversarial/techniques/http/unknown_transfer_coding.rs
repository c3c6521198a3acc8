//! A transfer coding that nobody knows.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "unknown-transfer-coding",
    family: Family::Http,
    name: "A transfer coding that nobody knows",
    tries: "Names the transfer coding xchunked.",
    danger: "Request smuggling: where the body ends is where the next request begins, and two readers must never differ on it.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Named("allowed.test", 80),
        &[Bytes(b"POST / HTTP/1.1\r\nHost: allowed.test\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n")],
    )],
    expect: Expect { asks: &["allowed.test"], refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
