//! A secret over a connection in the clear.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "secret-in-the-clear",
    family: Family::Control,
    name: "A secret over a connection in the clear",
    tries: "Asks the site that gets a secret over plain HTTP.",
    danger: "Everybody on the way would read it, and nobody knows who answers.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[Bytes(b"GET http://secret.wild.test/echo HTTP/1.1\r\nHost: secret.wild.test\r\n\r\n")],
    )],
    expect: Expect { refusals: &[refusal("http", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};
