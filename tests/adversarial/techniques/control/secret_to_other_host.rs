//! A secret that is aimed elsewhere.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "secret-to-other-host",
    family: Family::Control,
    name: "A secret that is aimed elsewhere",
    tries: "Shakes hands for the site that gets a secret, and names another in the request.",
    danger: "The front serves whom the request names: the secret would go to a stranger.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        b"CONNECT secret.wild.test:443 HTTP/1.1\r\nHost: secret.wild.test:443\r\n\r\n",
        Tls { sni: "secret.wild.test", alpn: &["http/1.1"] },
        &[Bytes(b"GET /echo HTTP/1.1\r\nHost: evil.test\r\n\r\n")],
    )],
    expect: Expect {
        arrives: &[],
        greets: &["secret.wild.test"],
        reaches: FRONT_WEB,
        asks: &["secret.wild.test"],
        refusals: &[refusal("https", "default", "host_mismatch")],
        ..NOTHING
    },
    on_host: None,
};
