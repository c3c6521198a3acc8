//! A list of lengths.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "list-of-lengths",
    family: Family::Http,
    name: "A list of lengths",
    tries: "Writes the length of a body as 4, 5.",
    danger: "Request smuggling: where the body ends is where the next request begins, and two readers must never differ on it.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Named("allowed.test", 80),
        &[Bytes(b"POST / HTTP/1.1\r\nHost: allowed.test\r\nContent-Length: 4, 5\r\n\r\nabcde")],
    )],
    expect: Expect { asks: &["allowed.test"], refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
