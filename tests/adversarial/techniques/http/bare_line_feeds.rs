//! Lines that end in a line feed alone.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "bare-line-feeds",
    family: Family::Http,
    name: "Lines that end in a line feed alone",
    tries: "Ends the lines of a head without carriage returns.",
    danger: "One reader takes it as one thing and the next as another: what was judged is then not what is served.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Named("allowed.test", 80), &[Bytes(b"GET / HTTP/1.1\nHost: allowed.test\n\n")])],
    expect: Expect { asks: &["allowed.test"], refusals: &[refusal("http", "default", "ambiguous_request")], ..NOTHING },
    on_host: None,
};
