//! A request without a Host field.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "no-host",
    family: Family::Http,
    name: "A request without a Host field",
    tries: "Leaves the Host field out.",
    danger: "The server serves its default site, or what an earlier request named.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Named("allowed.test", 80), &[Bytes(b"GET / HTTP/1.1\r\n\r\n")])],
    expect: Expect { asks: &["allowed.test"], refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
