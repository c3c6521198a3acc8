//! A host in octal.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "host-in-octal",
    family: Family::Http,
    name: "A host in octal",
    tries: "Asks the proxy for a page of 0135.0270.0330.042, which some readers take for an address.",
    danger: "inet_aton(3) reads as an address what others read as a name.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[Bytes(b"GET http://0135.0270.0330.042/ HTTP/1.1\r\nHost: 0135.0270.0330.042\r\n\r\n")],
    )],
    expect: Expect { refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
