//! A flood of pings.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "h2-ping-flood",
    family: Family::Http,
    name: "A flood of pings",
    tries: "Sends five thousand pings, each of which wants an answer, then asks for a page.",
    danger: "A guard that drowns is no guard, for anybody on the host.",
    places: Places::Everywhere,
    steps: &[
        Step::Tunnel(
            b"CONNECT modern.test:443 HTTP/1.1\r\nHost: modern.test:443\r\n\r\n",
            Tls { sni: "modern.test", alpn: &["h2"] },
            &[Made("5000 PING frames", flood)],
        ),
        Step::Tcp(Proxy, &[Bytes(b"GET http://allowed.test/after HTTP/1.1\r\nHost: allowed.test\r\n\r\n")]),
    ],
    expect: Expect {
        arrives: &["GET /after allowed.test"],
        greets: &["modern.test"],
        asks: &["modern.test", "allowed.test"],
        reaches: FRONT_WEB,
        ..NOTHING
    },
    on_host: None,
};

fn flood() -> Vec<u8> {
    [h2::preface(), (0..5000).flat_map(|_| h2::frame(6, 0, 0, &[7; 8])).collect()].concat()
}
