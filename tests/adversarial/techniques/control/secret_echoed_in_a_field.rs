//! A secret that the server shows in a field.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "secret-echoed-in-a-field",
    family: Family::Control,
    name: "A secret that the server shows in a field",
    tries: "Asks the same site for an answer that has the secret in a header field.",
    danger: "As for `secret-echoed`.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        CONNECT_SECRET,
        SECRET_HTTP1,
        &[Bytes(b"GET /echo-header HTTP/1.1\r\nHost: secret.wild.test\r\n\r\n")],
    )],
    expect: Expect { arrives: &["GET /echo-header secret.wild.test"], ..WITH_SECRET },
    on_host: None,
};
