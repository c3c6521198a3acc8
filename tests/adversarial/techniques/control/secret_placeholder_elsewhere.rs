//! A placeholder that is sent elsewhere.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "secret-placeholder-elsewhere",
    family: Family::Control,
    name: "A placeholder that is sent elsewhere",
    tries: "Sends the placeholder that stands for a secret to another site that is looked into, in the field and in the path.",
    danger: "Who fills in placeholders wherever they stand sends the secret wherever the agent likes.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        CONNECT_MODERN,
        MODERN_HTTP1,
        &[Bytes(b"GET /ok/outcall-secret-canary HTTP/1.1\r\nHost: modern.test\r\nAuthorization: Bearer outcall-secret-canary\r\n\r\n")],
    )],
    expect: Expect {
        arrives: &["GET /ok/outcall-secret-canary modern.test"],
        greets: &["modern.test"],
        reaches: FRONT_WEB,
        asks: &["modern.test"],
        ..NOTHING
    },
    on_host: None,
};
