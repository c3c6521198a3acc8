//! A secret that the server shows.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "secret-echoed",
    family: Family::Control,
    name: "A secret that the server shows",
    tries: "Asks a site to which a secret is added for a page that shows the request as it came.",
    danger: "Error pages and debug endpoints show what they were sent: the agent would read what it must not hold.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        CONNECT_SECRET,
        SECRET_HTTP1,
        &[Bytes(b"GET /echo HTTP/1.1\r\nHost: secret.wild.test\r\n\r\n")],
    )],
    expect: Expect { arrives: &["GET /echo secret.wild.test"], ..WITH_SECRET },
    on_host: None,
};
