//! A tunnel to a mapped address.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "tunnel-mapped-address",
    family: Family::Http,
    name: "A tunnel to a mapped address",
    tries: "Asks for a tunnel to ::ffff:169.254.169.254.",
    danger: "The metadata service in IPv6's clothes.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[Bytes(b"CONNECT [::ffff:169.254.169.254]:443 HTTP/1.1\r\nHost: [::ffff:169.254.169.254]:443\r\n\r\n")],
    )],
    expect: Expect { refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
