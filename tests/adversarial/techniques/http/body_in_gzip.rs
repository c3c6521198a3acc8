//! A body in gzip.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "body-in-gzip",
    family: Family::Http,
    name: "A body in gzip",
    tries: "Sends the word in gzip.",
    danger: "A rule that reads bodies is worth nothing where a coding hides them.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[Made("POST bodies.test in gzip: a secret", || post_body(&["gzip"], &coded::gzip(b"a secret")))],
    )],
    expect: BODY_REFUSED,
    on_host: None,
};
