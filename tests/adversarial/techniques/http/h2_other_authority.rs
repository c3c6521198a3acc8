//! Another authority on a later stream.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "h2-other-authority",
    family: Family::Http,
    name: "Another authority on a later stream",
    tries: "Asks for an allowed host on the first stream and for its neighbour on the second.",
    danger: "One connection carries requests for many names, and only the first was judged with it.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        CONNECT_MODERN,
        MODERN_HTTP2,
        &[STREAM_1, Made("stream 3: GET /ok/2 of evil.test", || h2::get(3, "evil.test", "/ok/2"))],
    )],
    expect: Expect { refusals: &[refusal("https", "default", "host_mismatch")], ..ONE_GOOD },
    on_host: None,
};
