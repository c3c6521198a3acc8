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
        b"CONNECT modern.test:443 HTTP/1.1\r\nHost: modern.test:443\r\n\r\n",
        Tls { sni: "modern.test", alpn: &["http/1.1"] },
        &[Made("POST /dns-query of modern.test with a query for evil.test", post)],
    )],
    expect: Expect {
        greets: &["modern.test"],
        asks: &["modern.test"],
        reaches: FRONT_WEB,
        refusals: &[refusal("https", "default", "no_rule_allows")],
        ..NOTHING
    },
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
