//! A body of two parts in gzip.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "body-two-members",
    family: Family::Http,
    name: "A body of two parts in gzip",
    tries: "Sends two members of gzip one after the other, the word in the second.",
    danger: "Some decoders stop after the first.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[Made("POST bodies.test in gzip: a text, then a second member: a secret", || {
            post_body(&["gzip"], &[coded::gzip(b"a text"), coded::gzip(b" and a secret")].concat())
        })],
    )],
    expect: Expect { asks: &["bodies.test"], refusals: &[refusal("http", "default", "body_decode_failed")], ..NOTHING },
    on_host: None,
};
