//! What a policy answers, rule by rule.

use std::collections::HashMap;

use outcall_compiler::cel::ast::{Ast, AstKind};
use outcall_schema::decision::{Action, RuleIndex, Verdict};
use outcall_schema::egress::EgressMode;
use outcall_schema::field::{Field, Knowledge};
use outcall_schema::layer::Layer;

use super::eval::{Evaluator, Truth, host_matches};
use super::value::{Request, Slot, Value};

/// A rule, as far as deciding needs it.
#[derive(Debug, Clone)]
pub struct Rule {
    /// What it does.
    pub action: Action,
    /// Its condition, in CEL.
    pub text: String,
    /// The condition as written.
    pub condition: Ast,
    /// An allow rule's way out.
    pub mode: EgressMode,
    /// Whether an allow rule reads bodies.
    pub match_body: bool,
    /// Whether an allow rule opens private addresses.
    pub private: bool,
}

/// A policy: rules in evaluation order, and the lists for interception.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// The rules.
    pub rules: Vec<Rule>,
    /// `interception.hosts`
    pub hosts: Vec<String>,
    /// `interception.bypass`
    pub bypass: Vec<String>,
    /// `interception.strict`
    pub strict: Vec<String>,
}

/// The answers that a question may have. The first in evaluation order comes first.
pub type Possible = Vec<Verdict>;

/// What a request inside TLS has and the connection around it does not show.
pub const INSIDE: [Field; 5] =
    [Field::HttpMethod, Field::HttpPath, Field::HttpHeaders, Field::HttpBody, Field::HttpBodySize];

/// What a response has that its request has not.
pub const ANSWER: [Field; 2] = [Field::ResponseStatus, Field::ResponseHeaders];

/// Whether a connection may pass as a tunnel where interception fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fallback {
    /// By this rule for certain.
    Certain(RuleIndex),
    /// By this rule at most.
    Perhaps(RuleIndex),
    /// For certain not, and why.
    Never(String),
}

impl Rule {
    /// Whether the rule is true of a request at a layer.
    pub fn truth(&self, layer: Layer, request: &Request) -> Truth {
        let no_body = self.action == Action::Allow && !self.match_body;
        let field = |field: Field| match field.knowledge(layer) {
            None => Slot::Unknown,
            Some(Knowledge::Always(text)) => Slot::Known(Value::text(text)),
            Some(Knowledge::From(_)) if field == Field::HttpBody && no_body => Slot::Known(Value::Null),
            Some(Knowledge::From(_)) => request.slot(field),
        };
        Evaluator::new(&field, &HashMap::new()).truth(&self.condition)
    }

    fn decides(&self) -> bool {
        matches!(self.action, Action::Allow | Action::Block)
    }

    fn verdict(&self, index: usize) -> Verdict {
        let index = RuleIndex(u32::try_from(index).unwrap_or(u32::MAX));
        if self.action == Action::Allow { Verdict::Allow(index) } else { Verdict::Block(Some(index)) }
    }
}

impl Policy {
    /// Every answer that cannot be ruled out, in evaluation order; exactly one where no field is pending. Not for the
    /// connect layer, see [`Policy::connect`].
    pub fn possible(&self, layer: Layer, request: &Request) -> Possible {
        let mut possible = Vec::new();
        for (index, rule) in self.rules.iter().enumerate().filter(|(_, rule)| rule.decides()) {
            let mut truth = rule.truth(layer, request);
            if layer == Layer::Dns && rule.action == Action::Allow && !names_record_types(&rule.condition) {
                truth = ordinary_only(truth, request);
            }
            if truth.yes {
                possible.push(rule.verdict(index));
            }
            if truth.certain() {
                return possible;
            }
        }
        possible.push(Verdict::DEFAULT);
        possible
    }

    /// Whether a rule sees inside a connection to `host`.
    fn sees_inside(&self, rule: &Rule, host: &str) -> bool {
        let wanted = (rule.action == Action::Allow && rule.mode == EgressMode::Intercept) || listed(host, &self.hosts);
        wanted && !listed(host, &self.bypass)
    }

    /// Whether a connection may pass as a tunnel where interception fails: the connect layer alone must allow it, and every
    /// request inside be allowed by that same rule, with no hold or enrich rule that could apply. `samples` are requests
    /// and responses that could be made inside; nothing about the connection itself may be pending.
    pub fn fallback(&self, request: &Request, samples: &[Request]) -> Fallback {
        let host = host_of(request);
        if !listed(&host, &self.hosts) || listed(&host, &self.bypass) || listed(&host, &self.strict) {
            return Fallback::Never(format!("{host:?} is not in the lists, or strict"));
        }
        let alone = Policy { hosts: Vec::new(), ..self.clone() };
        let (tunnel, _) = alone.connect(request, &mut |_| Vec::new());
        let allows = tunnel.iter().find_map(|verdict| match verdict {
            Verdict::Allow(rule) => Some(*rule),
            _ => None,
        });
        let Some(rule) = allows else { return Fallback::Never(format!("connect alone says {tunnel:?}")) };
        let (mine, all) = (vec![Verdict::Allow(rule)], opened(request));
        let duties = |layer, request: &Request| self.obligations(layer, request);
        let mut certain = tunnel == mine && self.possible(Layer::Https, &all) == mine;
        for layer in [Layer::Connect, Layer::Https, Layer::Response] {
            certain &= duties(layer, &all).1.is_empty();
        }
        for sample in samples {
            let one = filled(request, sample);
            let decided = self.possible(Layer::Https, &one);
            if decided != mine {
                return Fallback::Never(format!("inside {decided:?} decides {:?}", sample.known));
            }
            for layer in [Layer::Connect, Layer::Https, Layer::Response] {
                let (held, _) = duties(layer, &one);
                if !held.is_empty() {
                    return Fallback::Never(format!("{held:?} applies at {layer} to {:?}", sample.known));
                }
            }
        }
        if certain { Fallback::Certain(rule) } else { Fallback::Perhaps(rule) }
    }

    /// The answers at the connect layer: `samples` are values for what a request inside may have. The first list holds
    /// what Kleene's logic cannot rule out; the second what a sample shows: with nothing pending, the answer is in the
    /// first and comes no later than the only one in the second.
    pub fn connect(&self, request: &Request, samples: &mut dyn FnMut(&Rule) -> Vec<Request>) -> (Possible, Possible) {
        let (mut upper, mut lower) = (Vec::new(), Vec::new());
        let (mut upper_open, mut lower_open) = (true, true);
        let host = host_of(request);
        for (index, rule) in self.rules.iter().enumerate().filter(|(_, rule)| rule.decides()) {
            let tunnel = rule.truth(Layer::Connect, request);
            let (verdict, may, sure, shown) = if self.sees_inside(rule, &host) {
                let verdict = Verdict::Intercept(RuleIndex(u32::try_from(index).unwrap_or(u32::MAX)));
                let inside = rule.truth(Layer::Https, &opened(request));
                // An existential question: some request inside is enough.
                let shown = tunnel.certain()
                    || inside.certain()
                    || (inside.yes
                        && samples(rule)
                            .iter()
                            .any(|sample| rule.truth(Layer::Https, &filled(request, sample)).certain()));
                (verdict, tunnel.yes || inside.yes, tunnel.certain() || inside.certain(), shown)
            } else {
                (rule.verdict(index), tunnel.yes, tunnel.certain(), tunnel.certain())
            };
            if may && upper_open {
                upper.push(verdict);
            }
            if shown && lower_open {
                lower.push(verdict);
            }
            upper_open &= !sure;
            lower_open &= !shown;
        }
        if upper_open {
            upper.push(Verdict::DEFAULT);
        }
        if lower_open {
            lower.push(Verdict::DEFAULT);
        }
        (upper, lower)
    }

    /// The hold and enrich rules that are true for certain, and those that may be.
    pub fn obligations(&self, layer: Layer, request: &Request) -> (Vec<RuleIndex>, Vec<RuleIndex>) {
        let (mut certain, mut possible) = (Vec::new(), Vec::new());
        for (index, rule) in (0..).zip(&self.rules).filter(|(_, rule)| !rule.decides()) {
            let truth = rule.truth(layer, request);
            if truth.certain() {
                certain.push(RuleIndex(index));
            }
            if truth.yes {
                possible.push(RuleIndex(index));
            }
        }
        (certain, possible)
    }
}

fn listed(host: &str, patterns: &[String]) -> bool {
    patterns.iter().any(|pattern| host_matches(host, pattern))
}

fn host_of(request: &Request) -> String {
    match request.slot(Field::HttpHost) {
        Slot::Known(Value::Str(host)) => host,
        _ => String::new(),
    }
}

/// The request with everything inside TLS open.
fn opened(request: &Request) -> Request {
    let mut opened = request.clone();
    for field in INSIDE.into_iter().chain(ANSWER) {
        opened.known.remove(&field);
        opened.pending.push(field);
    }
    opened
}

/// The request with what `sample` has inside TLS.
fn filled(request: &Request, sample: &Request) -> Request {
    let mut filled = request.clone();
    filled.pending.retain(|field| !INSIDE.contains(field));
    for field in INSIDE.into_iter().chain(ANSWER) {
        if let Some(value) = sample.known.get(&field) {
            filled.known.insert(field, value.clone());
        }
    }
    filled
}

/// An allow rule that says nothing of record types allows the ordinary ones.
fn ordinary_only(truth: Truth, request: &Request) -> Truth {
    let ordinary = match request.slot(Field::DnsRecordType) {
        Slot::Known(Value::Str(name)) => matches!(name.as_str(), "A" | "AAAA" | "CNAME" | "HTTPS"),
        _ => false,
    };
    if ordinary { truth } else { Truth { yes: false, no: true, unknown: false } }
}

fn names_record_types(condition: &Ast) -> bool {
    reads(condition, "dns", "record_type")
}

/// Whether a condition reads a field.
pub fn reads(ast: &Ast, namespace: &str, name: &str) -> bool {
    let any = |parts: &[Ast]| parts.iter().any(|part| reads(part, namespace, name));
    let one = |part: &Ast| reads(part, namespace, name);
    match &ast.kind {
        AstKind::Null | AstKind::Bool(_) | AstKind::Int(_) | AstKind::Str(_) | AstKind::Name(_) => false,
        AstKind::List(items) | AstKind::And(items) | AstKind::Or(items) => any(items),
        AstKind::Map(entries) => entries.iter().any(|(key, value)| one(key) || one(value)),
        AstKind::Select(of, field) => {
            (field.text == name && matches!(&of.kind, AstKind::Name(of) if of == namespace)) || one(of)
        }
        AstKind::Index(one_side, other) | AstKind::In(one_side, other) => one(one_side) || one(other),
        AstKind::Compare(_, left, right) | AstKind::Arith(_, left, right) => one(left) || one(right),
        AstKind::Call(receiver, _, arguments) => receiver.as_deref().is_some_and(one) || any(arguments),
        AstKind::Not(operand) | AstKind::Negate(operand) => one(operand),
        AstKind::Conditional(condition, then, otherwise) => one(condition) || one(then) || one(otherwise),
    }
}
