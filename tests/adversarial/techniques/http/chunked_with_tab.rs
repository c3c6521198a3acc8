//! A transfer coding behind a vertical tab.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "chunked-with-tab",
    family: Family::Http,
    name: "A transfer coding behind a vertical tab",
    tries: "Writes a vertical tab before the word chunked.",
    danger: "Request smuggling: where the body ends is where the next request begins, and two readers must never differ on it.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Named("allowed.test", 80),
        &[Bytes(b"POST / HTTP/1.1\r\nHost: allowed.test\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n")],
    )],
    expect: Expect { asks: &["allowed.test"], refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
