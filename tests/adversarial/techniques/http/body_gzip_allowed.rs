//! A body in gzip that a rule allows.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "body-gzip-allowed",
    family: Family::Http,
    name: "A body in gzip that a rule allows",
    tries: "Sends a text without the word in gzip. It must pass.",
    danger: "A guard that is in the way of what is allowed will be switched off.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[Made("POST bodies.test in gzip: a text", || post_body(&["gzip"], &coded::gzip(b"a text")))],
    )],
    expect: BODY_PASSES,
    on_host: None,
};
