//! A name that moves between two requests.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "name-that-moves",
    family: Family::Dns,
    name: "A name that moves between two requests",
    tries: "Has the proxy ask twice for a name whose address is public the first time and private the second, both for no time at all.",
    danger: "What was checked is not what is dialled, if the name is asked for again in between.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[
            Bytes(b"GET http://flip.test/1 HTTP/1.1\r\nHost: flip.test\r\n\r\n"),
            Bytes(b"GET http://flip.test/2 HTTP/1.1\r\nHost: flip.test\r\nConnection: close\r\n\r\n"),
        ],
    )],
    expect: Expect {
        arrives: &["GET /1 flip.test"],
        asks: &["flip.test"],
        reaches: FRONT_WEB,
        refusals: &[refusal("http", "odd-names", "private_address")],
        ..NOTHING
    },
    on_host: None,
};
