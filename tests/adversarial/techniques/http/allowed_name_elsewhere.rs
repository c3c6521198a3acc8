//! An allowed name at another address.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "allowed-name-elsewhere",
    family: Family::Http,
    name: "An allowed name at another address",
    tries: "Connects to an address of its own choice and greets the allowed host there. In a sandbox nothing passes; on a host it goes to where the name is.",
    danger: "Whoever runs that address would be greeted by an allowed name and sent anything.",
    places: Places::Everywhere,
    steps: &[
        Step::Tls(At(ELSEWHERE, 443), ALLOWED_HTTP1, &[Bytes(b"GET /tls HTTP/1.1\r\nHost: allowed.test\r\n\r\n")]),
        Step::Tcp(At(ELSEWHERE, 80), &[Bytes(b"GET /clear HTTP/1.1\r\nHost: allowed.test\r\n\r\n")]),
    ],
    expect: PACKETS,
    on_host: Some(Expect {
        arrives: &["tls allowed.test", "GET /tls allowed.test", "GET /clear allowed.test"],
        reaches: FRONT_WEB,
        asks: &["allowed.test"],
        ..NOTHING
    }),
};
