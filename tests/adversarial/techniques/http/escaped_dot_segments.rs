//! A path that climbs out of the allowed part.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "escaped-dot-segments",
    family: Family::Http,
    name: "A path that climbs out of the allowed part",
    tries: "Asks for /ok/%2e%2e/secret, where only paths below /ok/ are allowed.",
    danger: "The rule sees a path below /ok/, the server one beside it.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[Bytes(b"GET http://paths.wild.test/ok/%2e%2e/secret HTTP/1.1\r\nHost: paths.wild.test\r\n\r\n")],
    )],
    expect: Expect { refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
