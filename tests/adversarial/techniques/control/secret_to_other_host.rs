//! A secret that is aimed elsewhere.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "secret-to-other-host",
    family: Family::Control,
    name: "A secret that is aimed elsewhere",
    tries: "Shakes hands for the site that gets a secret, and names another in the request.",
    danger: "The front serves whom the request names: the secret would go to a stranger.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(CONNECT_SECRET, SECRET_HTTP1, &[Bytes(b"GET /echo HTTP/1.1\r\nHost: evil.test\r\n\r\n")])],
    expect: Expect { refusals: &[refusal("https", "default", "host_mismatch")], ..WITH_SECRET },
    on_host: None,
};
