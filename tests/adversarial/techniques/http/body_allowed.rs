//! A body that a rule allows.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "body-allowed",
    family: Family::Http,
    name: "A body that a rule allows",
    tries: "Sends a text without the word that the rule on bodies refuses. It must pass.",
    danger: "A guard that is in the way of what is allowed will be switched off.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Proxy, &[Made("POST bodies.test: a text", || post_body(&[], b"a text"))])],
    expect: BODY_PASSES,
    on_host: None,
};
