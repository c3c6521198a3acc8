//! A body that is not in its coding.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "body-in-false-coding",
    family: Family::Http,
    name: "A body that is not in its coding",
    tries: "Sends the word as it is and says that it is in gzip.",
    danger: "Servers that do not know a coding take the bytes as they are.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Proxy,
        &[Made("POST bodies.test, said to be in gzip: a secret", || post_body(&["gzip"], b"a secret"))],
    )],
    expect: Expect { asks: &["bodies.test"], refusals: &[refusal("http", "default", "body_decode_failed")], ..NOTHING },
    on_host: None,
};
