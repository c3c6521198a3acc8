//! No name at an allowed address.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "redirected-no-name",
    family: Family::Http,
    name: "No name at an allowed address",
    tries: "Connects to the address that it was told for the allowed host, and greets nobody by name.",
    danger: "A front serves some site to those who name none.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Named("allowed.test", 443), &[Made("a ClientHello without a name", || hello::hello(&[]))])],
    expect: Expect { asks: &["allowed.test"], refusals: &[refusal("connect", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};
