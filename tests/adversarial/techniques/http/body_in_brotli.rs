//! A body in brotli.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "body-in-brotli",
    family: Family::Http,
    name: "A body in brotli",
    tries: "Sends the word in brotli.",
    danger: "A rule that reads bodies is worth nothing where a coding hides them.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[Made("POST bodies.test in br: a secret", || post_body(&["br"], &coded::brotli(b"a secret")))],
    )],
    expect: BODY_REFUSED,
    on_host: None,
};
