//! What the rules say of one request, each condition evaluated by itself: no example is shown that this does not confirm.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};

use outcall_schema::artifact::dns_table::DnsTable;
use outcall_schema::artifact::item::{Child, LeafKind};
use outcall_schema::decision::{Action, NameVerdict};
use outcall_schema::facts::{Fact, Facts, FieldValue};
use outcall_schema::field::Field;
use outcall_schema::layer::Layer;

use super::side::Side;
use crate::ask::{Request, truth};
use crate::cel::typed::{CompareOp, Expr, ExprKind, Function};
use crate::decide::formula::{Formula, Formulas, Node, Test};
use crate::decide::lower::{fill_in, reads_field};
use crate::decide::{pattern, range};
use crate::emit::layers::{dns_table, view};
use crate::resolve::Rule;

/// What is made ready once for many requests.
#[derive(Default)]
pub(super) struct Replay {
    table: OnceCell<Option<DnsTable>>,
    rules: OnceCell<Keys>,
    tunnels: OnceCell<Keys>,
}

/// Numbers by the host or the name without which there is no need to look.
#[derive(Default)]
struct Keys {
    by_name: HashMap<(Field, String), Vec<usize>>,
    rest: Vec<usize>,
}

impl Keys {
    fn of<'n>(names: impl Iterator<Item = Option<(Field, Vec<&'n str>)>>) -> Keys {
        let mut keys = Keys::default();
        for (at, names) in names.enumerate() {
            match names {
                Some((field, names)) => {
                    for name in names {
                        keys.by_name.entry((field, name.to_owned())).or_default().push(at);
                    }
                }
                None => keys.rest.push(at),
            }
        }
        keys
    }

    /// What a request may meet, in order.
    fn of_request(&self, facts: &Facts<'_>) -> BTreeSet<usize> {
        let named = |field: Field, fact: Fact<&str>| self.by_name.get(&(field, fact.known()?.to_owned()));
        let host = named(Field::HttpHost, facts.http_host);
        let name = named(Field::DnsQuery, facts.dns_query);
        host.into_iter().chain(name).chain([&self.rest]).flatten().copied().collect()
    }
}

impl Side<'_> {
    /// What the rules say of a request. At connect, whether a rule could be true inside is taken from its formula.
    pub(super) fn replay(&self, formulas: &mut Formulas, layer: Layer, request: &Request) -> Option<Child> {
        let facts = request.facts(layer);
        if layer == Layer::Connect {
            let entries = self.list(layer);
            let names = || Keys::of(entries.iter().map(|(formula, _)| hosts(formulas, *formula)));
            let keys = self.replay.tunnels.get_or_init(names).of_request(&facts);
            let mut entries = keys.into_iter().filter_map(|at| entries.get(at));
            return entries.find(|(formula, _)| holds(formulas, *formula, &facts)).map(|(_, leaf)| *leaf);
        }
        let deciding = |rule: &Rule| matches!(rule.action, Action::Allow | Action::Block);
        let (number, rule) =
            self.candidates(&facts).find(|(_, rule)| deciding(rule) && is_true(rule, layer, &facts))?;
        let kind = if rule.action == Action::Allow { LeafKind::Allow } else { LeafKind::Block };
        Some(Child::leaf(kind, number + self.offset))
    }

    /// The hold and enrich rules that are true of a request.
    pub(super) fn replay_duties(&self, layer: Layer, request: &Request) -> Vec<Child> {
        let facts = request.facts(layer);
        self.candidates(&facts)
            .filter(|(_, rule)| matches!(rule.action, Action::Hold | Action::Enrich) && is_true(rule, layer, &facts))
            .map(|(number, _)| Child::leaf(LeafKind::Allow, number + self.offset))
            .collect()
    }

    /// The rules that need a look, in evaluation order.
    fn candidates(&self, facts: &Facts<'_>) -> impl Iterator<Item = (u32, &Rule)> {
        let keys =
            self.replay.rules.get_or_init(|| Keys::of(self.policy.rules.iter().map(|rule| names(&rule.condition))));
        let rules = &self.policy.rules;
        keys.of_request(facts).into_iter().filter_map(|at| Some((u32::try_from(at).ok()?, rules.get(at)?)))
    }

    /// Whether a name resolves; `None` where it cannot be told.
    pub(super) fn resolves(&self, formulas: &mut Formulas, request: &Request) -> Option<bool> {
        Some(!matches!(self.lookup(formulas, request)?, NameVerdict::Block(_)))
    }

    /// What the DNS table says of a query; `None` where it cannot be told.
    pub(super) fn lookup(&self, formulas: &mut Formulas, request: &Request) -> Option<NameVerdict> {
        let table = self.replay.table.get_or_init(|| {
            let (bytes, _) = dns_table(self.policy, formulas);
            DnsTable::from_bytes(bytes.into()).ok()
        });
        Some(table.as_ref()?.lookup(&request.facts(Layer::Dns)))
    }
}

/// Whether a rule is true of a request at a layer, its condition evaluated as it stands.
pub(super) fn is_true(rule: &Rule, layer: Layer, facts: &Facts<'_>) -> bool {
    if names_another(&rule.condition, facts) {
        return false;
    }
    let condition = fill_in(&rule.condition, view(rule, layer));
    let ordinary = || {
        let names_types = reads_field(&rule.condition, Field::DnsRecordType);
        let record_type = facts.dns_record_type.known().unwrap_or_default();
        names_types || matches!(record_type, "A" | "AAAA" | "CNAME" | "HTTPS")
    };
    truth(&condition, facts) == Some(true) && (layer != Layer::Dns || rule.action != Action::Allow || ordinary())
}

/// The hosts or the names one of which a condition asks for, if it does so outright.
fn names<'e>(condition: &'e Expr) -> Option<(Field, Vec<&'e str>)> {
    let named = |field: Field| matches!(field, Field::HttpHost | Field::DnsQuery);
    match &condition.kind {
        ExprKind::And(operands) => operands.iter().find_map(names),
        ExprKind::Compare(CompareOp::Eq, left, right) => match (&left.kind, &right.kind) {
            (ExprKind::Field(field), ExprKind::Str(text)) | (ExprKind::Str(text), ExprKind::Field(field)) => {
                named(*field).then(|| (*field, vec![text.as_str()]))
            }
            _ => None,
        },
        ExprKind::In(left, right) => match (&left.kind, &right.kind) {
            (ExprKind::Field(field), ExprKind::List(items)) if named(*field) => {
                let text = |item: &'e Expr| match &item.kind {
                    ExprKind::Str(text) => Some(text.as_str()),
                    _ => None,
                };
                Some((*field, items.iter().map(text).collect::<Option<_>>()?))
            }
            _ => None,
        },
        _ => None,
    }
}

/// Whether a condition cannot be true because it asks for hosts, names or agents under another suffix, or where there is
/// none: most are, and this is seen at once.
fn names_another(condition: &Expr, facts: &Facts<'_>) -> bool {
    let fact = |expr: &Expr| match &expr.kind {
        ExprKind::Field(Field::HttpHost) => Some(facts.http_host),
        ExprKind::Field(Field::DnsQuery) => Some(facts.dns_query),
        ExprKind::Field(Field::AgentName) => Some(facts.agent_name),
        _ => None,
    };
    match &condition.kind {
        ExprKind::And(operands) => operands.iter().any(|operand| names_another(operand, facts)),
        ExprKind::Compare(CompareOp::Eq, left, right) => match (fact(left), &right.kind) {
            (Some(fact), ExprKind::Str(text)) => fact.known() != Some(text),
            _ => false,
        },
        ExprKind::Call(function, operands) => match (operands.first().and_then(fact), function, operands.as_slice()) {
            (Some(Fact::Known(known)), Function::EndsWith, [_, Expr { kind: ExprKind::Str(suffix), .. }]) => {
                !known.ends_with(suffix.as_str())
            }
            (Some(fact), ..) => fact.known().is_none(),
            (None, ..) => false,
        },
        _ => false,
    }
}

/// The hosts one of which a formula asks for, if it does so outright.
fn hosts(formulas: &Formulas, formula: Formula) -> Option<(Field, Vec<&str>)> {
    match formulas.kind(formula) {
        Node::And(parts) => parts.iter().find_map(|part| hosts(formulas, *part)),
        Node::Literal(atom, true) => {
            let atom = formulas.atom(*atom);
            match (&atom.test, formulas.source_of(atom.source?).field) {
                (Test::Equals(values), Field::HttpHost) => {
                    Some((Field::HttpHost, values.iter().map(String::as_str).collect()))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// Whether a formula is true of a request.
fn holds(formulas: &Formulas, formula: Formula, facts: &Facts<'_>) -> bool {
    match formulas.kind(formula) {
        Node::True => true,
        Node::False => false,
        Node::And(parts) => parts.iter().all(|part| holds(formulas, *part, facts)),
        Node::Or(parts) => parts.iter().any(|part| holds(formulas, *part, facts)),
        Node::Literal(atom, wanted) => {
            let (atom, wanted) = (formulas.atom(*atom), *wanted);
            let test = &atom.test;
            let Some(source) = atom.source else {
                let Test::Opaque(expr) = test else { return false };
                return truth(expr, facts) == Some(wanted);
            };
            let source = formulas.source_of(source);
            let Fact::Known(value) = facts.fact(source.field) else { return false };
            let text = match (value, &source.key) {
                (FieldValue::Headers(headers), Some(key)) => headers.get(key),
                (FieldValue::Str(text), None) => Some(text),
                (FieldValue::Int(number), None) => return test.of_int(number) == Some(wanted),
                (FieldValue::Ip(address), None) => {
                    let Test::Addresses { v4, v6 } = test else { return false };
                    let inside = match address {
                        std::net::IpAddr::V4(address) => range::contains(v4, address.to_bits()),
                        std::net::IpAddr::V6(address) => range::contains(v6, address.to_bits()),
                    };
                    return inside == wanted;
                }
                (FieldValue::Null, None) if matches!(test, Test::Equals(_)) => return !wanted,
                _ => None,
            };
            match (text, test) {
                (None, Test::Present) => !wanted,
                (None, _) => false,
                (Some(text), _) => pattern::is_true(test, text) == wanted,
            }
        }
    }
}
