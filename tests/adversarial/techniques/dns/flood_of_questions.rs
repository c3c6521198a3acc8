//! A flood of questions.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "flood-of-questions",
    family: Family::Dns,
    name: "A flood of questions",
    tries: "Asks for two hundred names that are not allowed, over one connection and without waiting.",
    danger: "A filter that cannot keep up lets pass, or forgets to write down.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Resolver, &[Made("two hundred queries for names under evil.test", flood)])],
    expect: Expect { refusals: &[refusals(200, "dns", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};

fn flood() -> Vec<u8> {
    (0..200).flat_map(|number| question::framed(&query(number, &format!("n{number}.evil.test"), A))).collect()
}
