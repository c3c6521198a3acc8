//! A flood of pings.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "h2-ping-flood",
    family: Family::Http,
    name: "A flood of pings",
    tries: "Sends five thousand pings, each of which wants an answer, then asks for a page.",
    danger: "A guard that drowns is no guard, for anybody on the host.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(CONNECT_MODERN, MODERN_HTTP2, &[Made("5000 PING frames", flood)]), ASK_AFTERWARDS],
    expect: AFTER_A_FLOOD,
    on_host: None,
};

fn flood() -> Vec<u8> {
    [h2::preface(), (0..5000).flat_map(|_| h2::frame(6, 0, 0, &[7; 8])).collect()].concat()
}
