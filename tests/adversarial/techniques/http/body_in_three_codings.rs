//! A body in three codings.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "body-in-three-codings",
    family: Family::Http,
    name: "A body in three codings",
    tries: "Sends the word in gzip in gzip in gzip.",
    danger: "A rule that reads bodies is worth nothing where a coding hides them.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[Made("POST bodies.test in gzip, three times: a secret", || {
            post_body(&["gzip", "gzip, gzip"], &coded::gzip(&coded::gzip(&coded::gzip(b"a secret"))))
        })],
    )],
    expect: BODY_REFUSED,
    on_host: None,
};
