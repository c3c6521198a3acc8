//! A flood of requests that are taken back.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "h2-rapid-reset",
    family: Family::Http,
    name: "A flood of requests that are taken back",
    tries: "Sends five hundred refused requests and takes each back at once, then asks for a page.",
    danger: "A guard that drowns is no guard, for anybody on the host.",
    places: Places::Everywhere,
    steps: &[
        Step::Tunnel(CONNECT_MODERN, MODERN_HTTP2, &[Made("500 streams with GET /secret, each reset", flood)]),
        ASK_AFTERWARDS,
    ],
    expect: Expect {
        refusals: &[
            refusal("https", "default", "ambiguous_request"),
            Refusal { times: Count::Any, ..refusal("https", "default", "no_rule_allows") },
        ],
        ..AFTER_A_FLOOD
    },
    on_host: None,
};

fn flood() -> Vec<u8> {
    let streams = (0..500u32).map(|number| 2 * number + 1);
    let each = |stream| [h2::get(stream, "modern.test", "/secret"), h2::frame(3, 0, stream, &[0, 0, 0, 8])].concat();
    [h2::preface(), streams.flat_map(each).collect()].concat()
}
