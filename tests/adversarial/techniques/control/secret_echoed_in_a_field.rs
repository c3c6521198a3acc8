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
        b"CONNECT secret.wild.test:443 HTTP/1.1\r\nHost: secret.wild.test:443\r\n\r\n",
        Tls { sni: "secret.wild.test", alpn: &["http/1.1"] },
        &[Bytes(b"GET /echo-header HTTP/1.1\r\nHost: secret.wild.test\r\n\r\n")],
    )],
    expect: Expect {
        arrives: &["GET /echo-header secret.wild.test"],
        greets: &["secret.wild.test"],
        reaches: FRONT_WEB,
        asks: &["secret.wild.test"],
        refusals: &[],
        ..NOTHING
    },
    on_host: None,
};
