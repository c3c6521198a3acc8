//! A tunnel to a host in hexadecimal.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "tunnel-in-hex",
    family: Family::Http,
    name: "A tunnel to a host in hexadecimal",
    tries: "Asks for a tunnel to 0x5db8d822, which some readers take for an address.",
    danger: "inet_aton(3) reads as an address what others read as a name.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Proxy, &[Bytes(b"CONNECT 0x5db8d822:443 HTTP/1.1\r\nHost: 0x5db8d822:443\r\n\r\n")])],
    expect: Expect { refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
