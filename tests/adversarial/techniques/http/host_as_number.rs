//! A host as a number.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "host-as-number",
    family: Family::Http,
    name: "A host as a number",
    tries: "Sends the Host field 2130706433, which some libraries take for 127.0.0.1.",
    danger: "Rules on addresses do not know the number, the resolver of the C library does.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Named("allowed.test", 80), &[Bytes(b"GET / HTTP/1.1\r\nHost: 2130706433\r\n\r\n")])],
    expect: Expect { asks: &["allowed.test"], refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
