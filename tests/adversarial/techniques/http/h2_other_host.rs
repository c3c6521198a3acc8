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
        CONNECT_MODERN,
        MODERN_HTTP2,
        &[
            STREAM_1,
            Made("stream 3: GET /ok/2 with :authority modern.test and host evil.test", || {
                ok_2_with(&[("host", "evil.test")])
            }),
        ],
    )],
    expect: ONE_GOOD_ONE_AMBIGUOUS,
    on_host: None,
};
