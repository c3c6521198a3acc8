//! A policy as a side of a question: its rules as each layer sees them, and what they say of one request by themselves.

use std::cell::OnceCell;
use std::collections::HashMap;

use outcall_schema::artifact::dns_table::DnsTable;
use outcall_schema::artifact::item::{Child, LeafKind};
use outcall_schema::artifact::writer::Source;
use outcall_schema::decision::{Action, NameVerdict};
use outcall_schema::facts::{Fact, FieldValue};
use outcall_schema::field::Field;
use outcall_schema::layer::Layer;

use super::example::is_true;
use super::reach::{entries, intercepts, passes};
use crate::ask::{Request, truth};
use crate::decide::build::Entry;
use crate::decide::exists::exists;
use crate::decide::formula::{Atom, Formula, Formulas, Node, Test};
use crate::decide::{pattern, range};
use crate::emit::layers::{dns_table, obligations};
use crate::resolve::{Policy, Rule};

/// The record types that follow from rules.
const IMPLIED_TYPES: [&str; 3] = ["A", "AAAA", "HTTPS"];

/// A policy's lists. Leaves name rules by `offset` and the rule's number, so that those of two policies differ.
pub(super) struct Side<'p> {
    pub(super) policy: &'p Policy,
    offset: u32,
    lists: HashMap<Layer, Vec<Entry>>,
    duties: HashMap<Layer, Vec<Entry>>,
    /// The names that follow from rules: a superset, since blocks before them are not taken off.
    pub(super) implied: Vec<Entry>,
    /// Whether any TLS connection is terminated.
    pub(super) intercepts: bool,
    /// The DNS table, once it was asked.
    table: OnceCell<Option<DnsTable>>,
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
        let intercepts = intercepts(policy);
        let mut side = Side { policy, offset, lists, duties, implied: Vec::new(), intercepts, table: OnceCell::new() };
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

    /// What the rules say of a request, each condition evaluated by itself. At connect, whether a rule could be true
    /// inside is taken from its formula.
    pub(super) fn replay(&self, formulas: &mut Formulas, layer: Layer, request: &Request) -> Option<Child> {
        if layer == Layer::Connect {
            let found = self.list(layer).iter().find(|(formula, _)| holds(formulas, *formula, layer, request));
            return found.map(|(_, leaf)| *leaf);
        }
        let deciding = |rule: &&Rule| matches!(rule.action, Action::Allow | Action::Block);
        (0..)
            .zip(&self.policy.rules)
            .filter(|(_, rule)| deciding(rule))
            .find(|(_, rule)| is_true(rule, layer, request))
            .map(|(number, rule)| {
                let kind = if rule.action == Action::Allow { LeafKind::Allow } else { LeafKind::Block };
                Child::leaf(kind, number + self.offset)
            })
    }

    /// Whether the DNS table answers a query; `None` where it cannot be told.
    pub(super) fn lookup(&self, formulas: &mut Formulas, request: &Request) -> Option<bool> {
        let table = self.table.get_or_init(|| {
            let (bytes, _) = dns_table(self.policy, formulas);
            DnsTable::from_bytes(bytes.into()).ok()
        });
        let verdict = table.as_ref()?.lookup(&request.facts(Layer::Dns));
        Some(!matches!(verdict, NameVerdict::Block(_)))
    }

    /// The hold and enrich rules that are true of a request.
    pub(super) fn replay_duties(&self, layer: Layer, request: &Request) -> Vec<Child> {
        (0..)
            .zip(&self.policy.rules)
            .filter(|(_, rule)| matches!(rule.action, Action::Hold | Action::Enrich) && is_true(rule, layer, request))
            .map(|(number, _)| Child::leaf(LeafKind::Allow, number + self.offset))
            .collect()
    }
}

/// Whether a formula is true of a request.
fn holds(formulas: &mut Formulas, formula: Formula, layer: Layer, request: &Request) -> bool {
    match formulas.kind(formula).clone() {
        Node::True => true,
        Node::False => false,
        Node::And(parts) => parts.iter().all(|part| holds(formulas, *part, layer, request)),
        Node::Or(parts) => parts.iter().any(|part| holds(formulas, *part, layer, request)),
        Node::Literal(atom, wanted) => {
            let Atom { source, test, .. } = formulas.atom(atom).clone();
            let facts = request.facts(layer);
            let Some(source) = source else {
                let Test::Opaque(expr) = &test else { return false };
                return truth(expr, &facts) == Some(wanted);
            };
            let source = formulas.source_of(source).clone();
            let Fact::Known(value) = facts.fact(source.field) else { return false };
            let text = match (value, &source.key) {
                (FieldValue::Headers(headers), Some(key)) => headers.get(key),
                (FieldValue::Str(text), None) => Some(text),
                (FieldValue::Int(number), None) => return test.of_int(number) == Some(wanted),
                (FieldValue::Ip(address), None) => {
                    let Test::Addresses { v4, v6 } = &test else { return false };
                    let inside = match address {
                        std::net::IpAddr::V4(address) => range::contains(v4, address.to_bits()),
                        std::net::IpAddr::V6(address) => range::contains(v6, address.to_bits()),
                    };
                    return inside == wanted;
                }
                (FieldValue::Null, None) if matches!(test, Test::Equals(_)) => return !wanted,
                _ => None,
            };
            match (text, &test) {
                (None, Test::Present) => !wanted,
                (None, _) => false,
                (Some(text), _) => pattern::is_true(&test, text) == wanted,
            }
        }
    }
}
