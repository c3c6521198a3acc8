//! A policy as a side of a question: its rules as each layer sees them, and what they say of one request by themselves.

use std::collections::HashMap;

use outcall_schema::artifact::item::{Child, LeafKind};
use outcall_schema::artifact::writer::Source;
use outcall_schema::field::Field;
use outcall_schema::layer::Layer;

use super::reach::{entries, intercepts, passes};
use super::replay::Replay;
use crate::decide::build::Entry;
use crate::decide::exists::exists;
use crate::decide::formula::{Formulas, Test};
use crate::emit::layers::{fallback_entries, obligations};
use crate::resolve::{Policy, Rule};

/// The record types that follow from rules.
pub(super) const IMPLIED_TYPES: [&str; 3] = ["A", "AAAA", "HTTPS"];

/// A policy's lists. Leaves name rules by `offset` and the rule's number, so that those of two policies differ.
pub(super) struct Side<'p> {
    pub(super) policy: &'p Policy,
    pub(super) offset: u32,
    lists: HashMap<Layer, Vec<Entry>>,
    duties: HashMap<Layer, Vec<Entry>>,
    /// The rules that let a connection pass as a tunnel where it cannot be looked into.
    pub(super) fallback: Vec<Entry>,
    /// The names that follow from rules: a superset, since blocks before them are not taken off.
    pub(super) implied: Vec<Entry>,
    /// Whether any TLS connection is terminated.
    pub(super) intercepts: bool,
    /// What was made ready for replaying requests.
    pub(super) replay: Replay,
}

impl<'p> Side<'p> {
    pub(super) fn new(policy: &'p Policy, formulas: &mut Formulas, offset: u32) -> Side<'p> {
        let shifted = |entries: Vec<Entry>| -> Vec<Entry> {
            let shift = |leaf: Child| leaf.rule().map_or(leaf, |rule| Child::leaf(leaf.kind(), rule + offset));
            entries.into_iter().map(|(formula, leaf)| (formula, shift(leaf))).collect()
        };
        let mut lists = HashMap::new();
        let mut duties = HashMap::new();
        for layer in Layer::ALL {
            lists.insert(layer, shifted(entries(policy, formulas, layer)));
            if !matches!(layer, Layer::Dns | Layer::Network) {
                duties.insert(layer, shifted(obligations(policy, formulas, layer)));
            }
        }
        let fallback = fallback_entries(policy, formulas).map_or_else(Vec::new, |entries| shifted(entries.tunnel));
        let (intercepts, implied, replay) = (intercepts(policy), Vec::new(), Replay::default());
        let mut side = Side { policy, offset, lists, duties, fallback, implied, intercepts, replay };
        side.implied = side.implied(formulas);
        side
    }

    /// The allow and block rules at a layer.
    pub(super) fn list(&self, layer: Layer) -> &[Entry] {
        self.lists.get(&layer).map_or(&[], Vec::as_slice)
    }

    /// The hold and enrich rules at a layer.
    pub(super) fn duties(&self, layer: Layer) -> &[Entry] {
        self.duties.get(&layer).map_or(&[], Vec::as_slice)
    }

    /// The rule that a leaf of this side names.
    pub(super) fn rule(&self, leaf: Child) -> Option<&'p Rule> {
        self.policy.rules.get(leaf.rule()?.checked_sub(self.offset)? as usize)
    }

    fn implied(&self, formulas: &mut Formulas) -> Vec<Entry> {
        let names = |source: &Source| matches!(source.field, Field::HttpHost | Field::NetworkHostname | Field::TlsSni);
        let mut types = Vec::new();
        let mut implied = Vec::new();
        for layer in [Layer::Connect, Layer::Http, Layer::Https] {
            if layer == Layer::Https && !self.intercepts {
                continue;
            }
            for (formula, leaf) in self.list(layer) {
                if !passes(&[*leaf]) || *formula == Formulas::FALSE {
                    continue;
                }
                let open = |source: &Source| !names(source) && source.field != Field::AgentName;
                let of_name = exists(formulas, *formula, &open);
                let renamed = formulas
                    .rename(of_name, &|source| names(source).then_some(Source { field: Field::DnsQuery, key: None }));
                if types.is_empty() {
                    let record_type = Source { field: Field::DnsRecordType, key: None };
                    let ordinary = IMPLIED_TYPES.iter().map(|name| (*name).to_owned()).collect();
                    types.push(formulas.literal(record_type, Test::Equals(ordinary), true));
                }
                let all = types.iter().copied().chain([renamed]);
                let formula = formulas.and(all);
                implied.push((formula, Child::leaf(LeafKind::Allow, leaf.rule().unwrap_or_default())));
            }
        }
        implied
    }
}
