//! A path that is not allowed on a later stream.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "h2-refused-path",
    family: Family::Http,
    name: "A path that is not allowed on a later stream",
    tries: "Asks for an allowed path on the first stream and for one that is not on the second.",
    danger: "A proxy that judges the connection passes everything in it on.",
    places: Places::Everywhere,
    steps: &[Step::Tunnel(
        CONNECT_MODERN,
        MODERN_HTTP2,
        &[STREAM_1, Made("stream 3: GET /secret of modern.test", || h2::get(3, "modern.test", "/secret"))],
    )],
    expect: Expect { refusals: &[refusal("https", "default", "no_rule_allows")], ..ONE_GOOD },
    on_host: None,
};
