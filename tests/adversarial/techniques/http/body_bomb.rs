//! A body that is a bomb.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "body-bomb",
    family: Family::Http,
    name: "A body that is a bomb",
    tries: "Sends 30 KB of gzip that stand for 5 MB.",
    danger: "A guard that unpacks whatever it is given runs out of memory.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[Made("POST bodies.test in gzip: 5 MB of zeros", || post_body(&["gzip"], &coded::bomb(20_000)))],
    )],
    expect: BODY_REFUSED,
    on_host: None,
};
