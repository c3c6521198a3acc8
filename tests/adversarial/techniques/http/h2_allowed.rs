//! An allowed request over HTTP/2.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "h2-allowed",
    family: Family::Http,
    name: "An allowed request over HTTP/2",
    tries: "Asks for an allowed path over HTTP/2, seen inside: this must work.",
    danger: "A guard that refuses everything proves nothing.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        b"CONNECT modern.test:443 HTTP/1.1\r\nHost: modern.test:443\r\n\r\n",
        Tls { sni: "modern.test", alpn: &["h2"] },
        &[Made("the preface, and stream 1: GET /ok/1 of modern.test", || {
            [h2::preface(), h2::get(1, "modern.test", "/ok/1")].concat()
        })],
    )],
    expect: Expect {
        arrives: &["GET /ok/1 modern.test"],
        greets: &["modern.test"],
        reaches: FRONT_WEB,
        asks: &["modern.test"],
        ..NOTHING
    },
    on_host: None,
};
