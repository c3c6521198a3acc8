//! A body that is too large to be read.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "body-oversized",
    family: Family::Http,
    name: "A body that is too large to be read",
    tries: "Sends 2 MiB of text, the word at the end.",
    danger: "What is not read must not pass as if it had been.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[Made("POST bodies.test: 2 MiB, then: a secret", || {
            post_body(&[], &[vec![b'x'; 2 << 20], b"a secret".to_vec()].concat())
        })],
    )],
    expect: BODY_REFUSED,
    on_host: None,
};
