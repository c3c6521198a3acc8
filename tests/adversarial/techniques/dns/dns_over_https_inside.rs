//! DNS over HTTPS on an allowed host.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "dns-over-https-inside",
    family: Family::Dns,
    name: "DNS over HTTPS on an allowed host",
    tries: "Sends a question for a refused name in a POST to /dns-query of a host that is allowed in part, inside TLS.",
    danger: "A server that forwards such questions makes every name resolve, and carries what is in them.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        CONNECT_MODERN,
        MODERN_HTTP1,
        &[Made("POST /dns-query of modern.test with a query for evil.test", post)],
    )],
    expect: Expect { refusals: &[refusal("https", "default", "no_rule_allows")], ..GREETED },
    on_host: None,
};

fn post() -> Vec<u8> {
    let question = query(0, "evil.test", A);
    let head = format!(
        "POST /dns-query HTTP/1.1\r\nHost: modern.test\r\nContent-Type: application/dns-message\r\nContent-Length: {}\r\n\r\n",
        question.len()
    );
    [head.as_bytes(), &question].concat()
}
