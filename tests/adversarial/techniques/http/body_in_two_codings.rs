//! A body in two codings.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "body-in-two-codings",
    family: Family::Http,
    name: "A body in two codings",
    tries: "Sends the word in gzip in brotli.",
    danger: "A rule that reads bodies is worth nothing where a coding hides them.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[Made("POST bodies.test in br around gzip: a secret", || {
            post_body(&["gzip, br"], &coded::brotli(&coded::gzip(b"a secret")))
        })],
    )],
    expect: BODY_REFUSED,
    on_host: None,
};
