//! A body in an unknown coding.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "body-in-unknown-coding",
    family: Family::Http,
    name: "A body in an unknown coding",
    tries: "Sends the word in a coding that nobody knows.",
    danger: "A rule that reads bodies is worth nothing where a coding hides them.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[Made("POST bodies.test in x-secret: n frperg", || post_body(&["x-secret"], b"n frperg"))],
    )],
    expect: BODY_REFUSED,
    on_host: None,
};
