//! A secret beside a field of the agent's own.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "secret-over-own-field",
    family: Family::Control,
    name: "A secret beside a field of the agent's own",
    tries: "Sends the field that the secret goes into itself, twice and in another spelling, to a page that shows the request.",
    danger: "What is appended rather than replaced is told apart by the server alone, and shown where nobody looks.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        CONNECT_SECRET,
        SECRET_HTTP1,
        &[Bytes(b"GET /echo HTTP/1.1\r\nHost: secret.wild.test\r\nauthorization: own\r\nAUTHORIZATION: Bearer outcall-secret-canary\r\n\r\n")],
    )],
    expect: Expect { arrives: &["GET /echo secret.wild.test"], ..WITH_SECRET },
    on_host: None,
};
