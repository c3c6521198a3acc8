//! A body that a rule refuses.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "body-refused",
    family: Family::Http,
    name: "A body that a rule refuses",
    tries: "Sends a text with the word that the rule on bodies refuses.",
    danger: "What leaves in a body is most of what could leave.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Proxy, &[Made("POST bodies.test: a secret", || post_body(&[], b"a secret"))])],
    expect: BODY_REFUSED,
    on_host: None,
};
