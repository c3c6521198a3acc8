//! A transfer of the zone.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "whole-zone",
    family: Family::Dns,
    name: "A transfer of the zone",
    tries: "Asks over TCP for the whole zone of an allowed name.",
    danger: "It is the largest answer that there is.",
    places: Places::Everywhere,
    steps: &[Step::Tcp(Resolver, &[Made("allowed.test AXFR", || question::framed(&query(9, "allowed.test", 252)))])],
    expect: Expect { refusals: &[refusal("dns", "default", "record_type_not_allowed")], ..NOTHING },
    on_host: None,
};
