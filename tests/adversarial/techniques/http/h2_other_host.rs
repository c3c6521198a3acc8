//! A Host field beside another authority.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "h2-other-host",
    family: Family::Http,
    name: "A Host field beside another authority",
    tries: "Names the allowed host as the authority and its neighbour in a field Host.",
    danger: "Servers differ in which of the two they believe.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        b"CONNECT modern.test:443 HTTP/1.1\r\nHost: modern.test:443\r\n\r\n",
        Tls { sni: "modern.test", alpn: &["h2"] },
        &[
            Made("the preface, and stream 1: GET /ok/1 of modern.test", || {
                [h2::preface(), h2::get(1, "modern.test", "/ok/1")].concat()
            }),
            Made("stream 3: GET /ok/2 with :authority modern.test and host evil.test", both),
        ],
    )],
    expect: Expect {
        arrives: &["GET /ok/1 modern.test"],
        greets: &["modern.test"],
        reaches: FRONT_WEB,
        asks: &["modern.test"],
        refusals: &[refusal("https", "default", "ambiguous_request")],
        ..NOTHING
    },
    on_host: None,
};

fn both() -> Vec<u8> {
    let fields = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "modern.test"),
        (":path", "/ok/2"),
        ("host", "evil.test"),
    ];
    h2::request(3, &fields)
}
