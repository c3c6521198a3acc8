//! An address that is said in front of a request.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "identity-by-proxy-protocol",
    family: Family::Control,
    name: "An address that is said in front of a request",
    tries: "Puts the line before its request by which load balancers tell servers their clients' addresses, with another agent's.",
    danger: "Who believes the line believes whoever can write it.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[Bytes(
            b"PROXY TCP4 10.200.0.3 10.200.0.1 40000 8080\r\nGET http://grpc.test/ HTTP/1.1\r\nHost: grpc.test\r\n\r\n",
        )],
    )],
    expect: Expect { refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
