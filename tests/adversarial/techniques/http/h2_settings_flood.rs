//! A flood of settings.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "h2-settings-flood",
    family: Family::Http,
    name: "A flood of settings",
    tries: "Sends five thousand frames of settings, each of which wants an answer, then asks for a page.",
    danger: "A guard that drowns is no guard, for anybody on the host.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(CONNECT_MODERN, MODERN_HTTP2, &[Made("5000 SETTINGS frames", flood)]), ASK_AFTERWARDS],
    expect: AFTER_A_FLOOD,
    on_host: None,
};

fn flood() -> Vec<u8> {
    [h2::preface(), (0..5000).flat_map(|_| h2::frame(4, 0, 0, &[])).collect()].concat()
}
