//! A body of two lengths.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "two-lengths",
    family: Family::Http,
    name: "A body of two lengths",
    tries: "Sends two fields Content-Length with different numbers.",
    danger: "Request smuggling: where the body ends is where the next request begins, and two readers must never differ on it.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Named("allowed.test", 80),
        &[Bytes(b"POST / HTTP/1.1\r\nHost: allowed.test\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde")],
    )],
    expect: Expect { asks: &["allowed.test"], refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
