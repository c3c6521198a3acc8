//! A host as a short address.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "host-as-short-address",
    family: Family::Http,
    name: "A host as a short address",
    tries: "Sends the Host field 127.1.",
    danger: "Rules on addresses do not know the spelling, the resolver of the C library does.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Named("allowed.test", 80), &[Bytes(b"GET / HTTP/1.1\r\nHost: 127.1\r\n\r\n")])],
    expect: Expect { asks: &["allowed.test"], refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
