//! What was neither shown nor excluded, and the rules that stood in the way.

use std::collections::BTreeSet;

use outcall_schema::layer::Layer;
use serde_json::{Value, json};

use super::side::Side;
use super::space::Space;
use crate::resolve::Rule;

/// A layer of which not everything was found out.
#[derive(Debug, Clone)]
pub struct Unproven<'p> {
    /// The layer.
    pub layer: Layer,
    /// The rules at which it was given up, and those with an expression over several values, which may come out any way.
    pub rules: Vec<&'p Rule>,
}

/// How many rules are named in a sentence.
const NAMED: usize = 6;

impl<'p> Unproven<'p> {
    /// What stood in the way in the search that ended last.
    pub(super) fn of(space: &Space<'_>, sides: &[&Side<'p>], layer: Layer) -> Unproven<'p> {
        let layers: &[Layer] = match layer {
            Layer::Https => &[Layer::Connect, Layer::Https],
            Layer::Dns => &[Layer::Dns, Layer::Connect, Layer::Http, Layer::Https],
            _ => std::slice::from_ref(&layer),
        };
        let mut rules: Vec<&'p Rule> = Vec::new();
        for side in sides {
            let mut numbers = BTreeSet::new();
            for entries in layers.iter().flat_map(|layer| [side.list(*layer), side.duties(*layer)]) {
                for (formula, leaf) in entries {
                    let mut atoms = BTreeSet::new();
                    space.formulas.atoms(*formula, &mut atoms);
                    let opaque = atoms.iter().any(|atom| space.formulas.atom(*atom).source.is_none());
                    let given_up = space.given_up.contains(leaf);
                    numbers.extend(
                        leaf.rule().filter(|_| opaque || given_up).and_then(|rule| rule.checked_sub(side.offset)),
                    );
                }
            }
            rules.extend(numbers.into_iter().filter_map(|number| side.policy.rules.get(number as usize)));
        }
        Unproven { layer, rules }
    }

    /// The rules' names, each once.
    fn ids(&self) -> Vec<&str> {
        let ids: BTreeSet<&str> = self.rules.iter().map(|rule| rule.id.as_str()).collect();
        ids.into_iter().collect()
    }

    /// In a sentence.
    pub(super) fn words(&self) -> String {
        let mut ids = self.ids();
        let more = ids.len().saturating_sub(NAMED);
        ids.truncate(NAMED);
        match (ids.is_empty(), more) {
            (true, _) => self.layer.name().to_owned(),
            (false, 0) => format!("{} (because of {})", self.layer.name(), ids.join(", ")),
            (false, more) => format!("{} (because of {} and {more} more)", self.layer.name(), ids.join(", ")),
        }
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        json!({ "layer": self.layer, "rules": self.ids() })
    }
}

/// Several in a sentence.
pub(super) fn words(unproven: &[Unproven<'_>]) -> String {
    unproven.iter().map(Unproven::words).collect::<Vec<_>>().join(", ")
}
