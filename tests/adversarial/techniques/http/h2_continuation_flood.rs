//! A head that does not end.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "h2-continuation-flood",
    family: Family::Http,
    name: "A head that does not end",
    tries: "Sends a head of a thousand frames, a megabyte of them, then asks for a page.",
    danger: "A guard that drowns is no guard, for anybody on the host.",
    places: Places::Everywhere,
    steps: &[
        Step::Tunnel(
            CONNECT_MODERN,
            MODERN_HTTP2,
            &[Made("a HEADERS frame and 1000 CONTINUATION frames of 1 KiB, none the last", flood)],
        ),
        ASK_AFTERWARDS,
    ],
    expect: Expect { refusals: &[refusal("https", "default", "ambiguous_request")], ..AFTER_A_FLOOD },
    on_host: None,
};

fn flood() -> Vec<u8> {
    let fields = [(":method", "GET"), (":scheme", "https"), (":authority", "modern.test"), (":path", "/ok/1")];
    let more = (0..1000).flat_map(|_| h2::frame(9, 0, 1, &h2::block(&[("x", "y"); 170])));
    [h2::preface(), h2::frame(1, 0, 1, &h2::block(&fields)), more.collect()].concat()
}
