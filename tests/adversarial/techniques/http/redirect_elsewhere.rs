//! A redirect to a refused host.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "redirect-elsewhere",
    family: Family::Http,
    name: "A redirect to a refused host",
    tries: "Asks for a page that answers with a redirect to a host that is not allowed. What comes of that is the client's to ask for.",
    danger: "A proxy that follows redirects itself goes where no rule was asked.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[
            Bytes(b"GET http://allowed.test/redirect HTTP/1.1\r\nHost: allowed.test\r\n\r\n"),
            Bytes(b"GET http://evil2.test/ HTTP/1.1\r\nHost: evil2.test\r\n\r\n"),
        ],
    )],
    expect: Expect {
        arrives: &["GET /redirect allowed.test"],
        asks: &["allowed.test"],
        reaches: FRONT_WEB,
        refusals: &[refusal("http", "default", "no_rule_allows")],
        ..NOTHING
    },
    on_host: None,
};
