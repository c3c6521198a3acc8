//! The rules as the kernel can enforce them: ordered verdicts on addresses, ports, protocols and sets of agents.

use std::collections::BTreeSet;
use std::net::IpAddr;

use outcall_schema::artifact::writer::Source;
use outcall_schema::decision::Action;
use outcall_schema::egress::EgressMode;
use outcall_schema::field::Field;
use outcall_schema::layer::Layer;

use super::codes;
use super::exists::exists;
use super::formula::{AtomId, Formula, Formulas, Node, Test};
use super::lower::{View, lower};
use super::pattern;
use super::range::{self, Step};
use crate::diag::Finding;
use crate::emit::layers::{deciding, decisions};
use crate::resolve::{Policy, Rule};

/// How many alternatives a condition may have in the kernel. Each is a line of its own.
const ALTERNATIVES: usize = 256;

/// IP protocols by the names that `network.protocol` has for them (IANA's, with `icmpv6` for 58), and whether they have
/// ports in their first four bytes.
pub const PROTOCOLS: &[(&str, u8, bool)] = &[
    ("icmp", 1, false),
    ("igmp", 2, false),
    ("tcp", 6, true),
    ("udp", 17, true),
    ("dccp", 33, true),
    ("gre", 47, false),
    ("esp", 50, false),
    ("ah", 51, false),
    ("icmpv6", 58, false),
    ("sctp", 132, true),
    ("udplite", 136, true),
];

/// What the kernel does with a packet that a rule matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KernelVerdict {
    /// Forwards it.
    Direct,
    /// Refuses it at once.
    Refuse,
    /// Leaves it to the proxy, which decides again.
    Proxy,
}

/// Ranges of addresses of either family, as numbers.
type Addresses = (Vec<(u32, u32)>, Vec<(u128, u128)>);

/// Addresses of one family: all, or ranges.
pub type Ranges<N> = Option<Vec<(N, N)>>;

/// One way to match a rule: everything given must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Conjunction {
    /// IPv4 destinations; `None` for any.
    pub v4: Ranges<u32>,
    /// IPv6 destinations; `None` for any.
    pub v6: Ranges<u128>,
    /// Destination ports; `None` for any, and for protocols without.
    pub ports: Ranges<i64>,
    /// Protocol numbers; `None` for any.
    pub protocols: Option<BTreeSet<u8>>,
    /// The number of the agent set the source must be in.
    pub agents: Option<usize>,
}

/// A rule in the kernel.
#[derive(Debug, Clone)]
pub struct KernelRule {
    /// The rule's number in evaluation order.
    pub number: u32,
    /// What happens.
    pub verdict: KernelVerdict,
    /// Whether special addresses are matched too.
    pub special: bool,
    /// The ports a direct rule opens.
    pub opens: Vec<(i64, i64)>,
    /// The ways to match.
    pub ways: Vec<Conjunction>,
    /// Whether names that it allows to be resolved open their addresses too.
    pub named: bool,
}

/// The kernel's part of a policy.
#[derive(Debug, Default)]
pub struct KernelPolicy {
    /// The rules that have a part in it, in evaluation order.
    pub rules: Vec<KernelRule>,
    /// Conditions over the agent's name, by number, each once.
    pub agents: Vec<Formula>,
    /// Addresses that some rule could allow when they are used as a host, or as such.
    pub literal_v4: Vec<(u32, u32)>,
    /// The same for IPv6.
    pub literal_v6: Vec<(u128, u128)>,
}

/// Projects a policy onto what the kernel sees. What it cannot express of a rule that it must enforce is a finding.
pub fn project(policy: &Policy, formulas: &mut Formulas) -> (KernelPolicy, Vec<Finding>) {
    let mut kernel = KernelPolicy::default();
    let mut findings = Vec::new();
    let direct = |rule: &Rule| rule.egress.as_ref().is_some_and(|egress| egress.mode == EgressMode::DirectIp);
    // Without direct traffic the kernel passes nothing on, and there is nothing that an order of rules could change.
    let last_direct = deciding(policy).filter(|(_, rule)| direct(rule)).map(|(number, _)| number).last();
    for (number, rule) in deciding(policy).filter(|(number, _)| Some(*number) <= last_direct) {
        let view = View { layer: Layer::Network, null_body: true };
        let formula = lower(formulas, &rule.condition, view);
        let named =
            direct(rule) && lower(formulas, &rule.condition, View { layer: Layer::Dns, ..view }) != Formulas::FALSE;
        if formula == Formulas::FALSE && !named {
            continue;
        }
        let ways = match conjunctions(formulas, formula, &mut kernel.agents) {
            Ok(ways) => ways,
            Err(why) => {
                let (code, message) = match why {
                    Inexpressible::Opaque => (codes::NOT_IN_KERNEL, "the kernel cannot decide this condition"),
                    Inexpressible::TooMany => {
                        (codes::TOO_MANY_WAYS, "the condition has too many alternatives for the kernel")
                    }
                };
                findings.push(
                    Finding::at(code, rule.condition_span.clone(), format!("{message} of rule `{}`", rule.id))
                        .help("test `network.ip`, `network.port`, `network.protocol` and `agent.name` each by itself"),
                );
                continue;
            }
        };
        let egress = rule.egress.clone().unwrap_or_default();
        kernel.rules.push(KernelRule {
            number,
            verdict: match (rule.action, egress.mode) {
                (Action::Allow, EgressMode::DirectIp) => KernelVerdict::Direct,
                (Action::Allow, EgressMode::Proxy | EgressMode::Intercept) => KernelVerdict::Proxy,
                (Action::Block | Action::Hold | Action::Enrich, _) => KernelVerdict::Refuse,
            },
            special: egress.allow_private_ips,
            opens: egress.ports.iter().map(|range| (i64::from(range.low), i64::from(range.high))).collect(),
            ways,
            named,
        });
    }
    literals(policy, formulas, &mut kernel);
    (kernel, findings)
}

/// Why a condition has no form in the kernel.
enum Inexpressible {
    Opaque,
    TooMany,
}

/// A formula as alternatives of literals; `None` where there are too many.
fn alternatives(formulas: &Formulas, formula: Formula) -> Option<Vec<BTreeSet<(AtomId, bool)>>> {
    match formulas.kind(formula) {
        Node::True => Some(vec![BTreeSet::new()]),
        Node::False => Some(Vec::new()),
        Node::Literal(atom, wanted) => Some(vec![BTreeSet::from([(*atom, *wanted)])]),
        Node::Or(operands) => {
            let mut all = Vec::new();
            for operand in operands.iter() {
                all.extend(alternatives(formulas, *operand)?);
                if all.len() > ALTERNATIVES {
                    return None;
                }
            }
            Some(all)
        }
        Node::And(operands) => {
            let mut all = vec![BTreeSet::new()];
            for operand in operands.iter() {
                let more = alternatives(formulas, *operand)?;
                if all.len() * more.len() > ALTERNATIVES {
                    return None;
                }
                all = all
                    .iter()
                    .flat_map(|left: &BTreeSet<_>| more.iter().map(move |right| left.union(right).copied().collect()))
                    .collect();
            }
            Some(all)
        }
    }
}

fn conjunctions(
    formulas: &mut Formulas,
    formula: Formula,
    agents: &mut Vec<Formula>,
) -> Result<Vec<Conjunction>, Inexpressible> {
    let mut ways = Vec::new();
    for literals in alternatives(formulas, formula).ok_or(Inexpressible::TooMany)? {
        if let Some(way) = conjunction(formulas, &literals, agents)? {
            add(&mut ways, way);
        }
    }
    Ok(ways)
}

/// Adds an alternative, joined with one that differs only in its addresses or only in its ports.
fn add(ways: &mut Vec<Conjunction>, way: Conjunction) {
    fn either<N: Step>(left: &Ranges<N>, right: &Ranges<N>) -> Ranges<N> {
        let (left, right) = (left.as_ref()?, right.as_ref()?);
        Some(range::normalise(left.iter().chain(right).copied().collect()))
    }
    for known in ways.iter_mut().filter(|known| known.protocols == way.protocols && known.agents == way.agents) {
        if known.ports == way.ports {
            (known.v4, known.v6) = (either(&known.v4, &way.v4), either(&known.v6, &way.v6));
            return;
        }
        if known.v4 == way.v4 && known.v6 == way.v6 {
            known.ports = either(&known.ports, &way.ports);
            return;
        }
    }
    ways.push(way);
}

/// One alternative; `None` where nothing satisfies it.
fn conjunction(
    formulas: &mut Formulas,
    literals: &BTreeSet<(AtomId, bool)>,
    agents: &mut Vec<Formula>,
) -> Result<Option<Conjunction>, Inexpressible> {
    let mut way = Conjunction { v4: None, v6: None, ports: None, protocols: None, agents: None };
    let mut agent = Vec::new();
    for (id, wanted) in literals {
        let atom = formulas.atom(*id).clone();
        let Some(source) = atom.source.map(|source| formulas.source_of(source).clone()) else {
            return Err(Inexpressible::Opaque);
        };
        match (source.field, &atom.test) {
            (Field::NetworkIp, Test::Addresses { v4, v6 }) => {
                way.v4 = Some(narrow(way.v4, v4, *wanted, 0, u32::MAX));
                way.v6 = Some(narrow(way.v6, v6, *wanted, 0, u128::MAX));
            }
            (Field::NetworkPort, Test::Ints(ranges)) => way.ports = Some(narrow(way.ports, ranges, *wanted, 0, 65_535)),
            (Field::NetworkProtocol, test) => {
                let matching = PROTOCOLS
                    .iter()
                    .filter(|(name, ..)| pattern::is_true(test, name) == *wanted)
                    .map(|(_, number, _)| *number);
                way.protocols = Some(match way.protocols.take() {
                    None => matching.collect(),
                    Some(so_far) => matching.filter(|number| so_far.contains(number)).collect(),
                });
            }
            (Field::AgentName, _) => agent.push(formulas.repeat(*id, *wanted)),
            _ => return Err(Inexpressible::Opaque),
        }
    }
    if !agent.is_empty() {
        let formula = formulas.and(agent);
        let number = agents.iter().position(|known| *known == formula).unwrap_or_else(|| {
            agents.push(formula);
            agents.len() - 1
        });
        way.agents = Some(number);
    }
    let none = |empty: bool| empty.then_some(());
    let nothing = none(way.v4.as_ref().is_some_and(Vec::is_empty) && way.v6.as_ref().is_some_and(Vec::is_empty))
        .or(none(way.ports.as_ref().is_some_and(Vec::is_empty)))
        .or(none(way.protocols.as_ref().is_some_and(BTreeSet::is_empty)));
    Ok(nothing.is_none().then_some(way))
}

/// What is left of `so_far` after a test.
fn narrow<N: Step>(so_far: Ranges<N>, ranges: &[(N, N)], wanted: bool, lowest: N, highest: N) -> Vec<(N, N)> {
    let so_far = so_far.unwrap_or_else(|| vec![(lowest, highest)]);
    let bounds = range::bounds(so_far.iter().chain(ranges).copied(), lowest);
    // Between two bounds membership does not change, so each stretch is in or out as a whole.
    let mut left = Vec::new();
    for (at, low) in std::iter::once(lowest).chain(bounds.iter().copied()).enumerate() {
        if low > highest || !range::contains(&so_far, low) || range::contains(ranges, low) != wanted {
            continue;
        }
        let next = bounds.get(at).copied();
        left.push((low, next.and_then(Step::before).unwrap_or(highest).min(highest)));
    }
    range::normalise(left)
}

/// Collects the addresses that could be allowed when used as such. Sound: what is left out cannot be.
fn literals(policy: &Policy, formulas: &mut Formulas, kernel: &mut KernelPolicy) {
    let (mut v4, mut v6): Addresses = (Vec::new(), Vec::new());
    let everything = |v4: &mut Vec<(u32, u32)>, v6: &mut Vec<(u128, u128)>| {
        v4.push((0, u32::MAX));
        v6.push((0, u128::MAX));
    };
    for layer in [Layer::Network, Layer::Connect, Layer::Http] {
        for (formula, leaf) in decisions(policy, formulas, layer) {
            if !leaf.passes() || names_no_address(formulas, formula) {
                continue;
            }
            // Only TCP goes to the proxy.
            let protocol = formulas.source(Source { field: Field::NetworkProtocol, key: None });
            let formula = formulas.settle(
                formula,
                &mut |atom, wanted| {
                    (atom.source == Some(protocol)).then(|| pattern::is_true(&atom.test, "tcp") == wanted)
                },
                &mut Default::default(),
            );
            let formula = exists(formulas, formula, &|source| {
                !matches!(source.field, Field::NetworkIp | Field::HttpHost | Field::NetworkHostname | Field::TlsSni)
            });
            let Some(ways) = alternatives(formulas, formula) else {
                everything(&mut v4, &mut v6);
                continue;
            };
            for way in ways {
                let (four, six) = reach(formulas, &way);
                v4.extend(four);
                v6.extend(six);
            }
        }
    }
    kernel.literal_v4 = range::normalise(v4);
    kernel.literal_v6 = range::normalise(v6);
}

/// The quick answer for nearly all rules: a test for whole names, none of them an address, must be true.
fn names_no_address(formulas: &Formulas, formula: Formula) -> bool {
    let is_name = |formula: &Formula| match formulas.kind(*formula) {
        Node::Literal(atom, true) => {
            let atom = formulas.atom(*atom);
            let host = atom.source.is_some_and(|source| formulas.source_of(source).field == Field::HttpHost);
            host && match &atom.test {
                Test::Equals(values) => values.iter().all(|value| value.parse::<IpAddr>().is_err()),
                Test::Under { suffix, .. } => is_no_address_end(suffix),
                _ => false,
            }
        }
        _ => false,
    };
    match formulas.kind(formula) {
        Node::And(operands) => operands.iter().any(is_name),
        _ => is_name(&formula),
    }
}

/// Whether no address ends in this suffix: its last label has a letter that no hexadecimal number has.
fn is_no_address_end(suffix: &str) -> bool {
    suffix
        .rsplit('.')
        .next()
        .is_some_and(|label| label.chars().any(|c| c.is_ascii_alphabetic() && !c.is_ascii_hexdigit()))
}

/// The addresses one alternative can stand for.
fn reach(formulas: &Formulas, literals: &BTreeSet<(AtomId, bool)>) -> Addresses {
    let (mut v4, mut v6): (Ranges<u32>, Ranges<u128>) = (None, None);
    for (id, wanted) in literals {
        let atom = formulas.atom(*id);
        let Some(source) = atom.source.map(|source| formulas.source_of(source)) else { continue };
        match (&atom.test, *wanted) {
            (Test::Addresses { v4: four, v6: six }, _) => {
                v4 = Some(narrow(v4, four, *wanted, 0, u32::MAX));
                v6 = Some(narrow(v6, six, *wanted, 0, u128::MAX));
            }
            (Test::Equals(values), true) if matches!(source.field, Field::HttpHost | Field::NetworkHostname) => {
                let (mut four, mut six) = (Vec::new(), Vec::new());
                for address in values.iter().filter_map(|value| value.parse::<IpAddr>().ok()) {
                    match address {
                        IpAddr::V4(address) => four.push((address.to_bits(), address.to_bits())),
                        IpAddr::V6(address) => six.push((address.to_bits(), address.to_bits())),
                    }
                }
                v4 = Some(narrow(v4, &range::normalise(four), true, 0, u32::MAX));
                v6 = Some(narrow(v6, &range::normalise(six), true, 0, u128::MAX));
            }
            (Test::Under { suffix, .. }, true) if is_no_address_end(suffix) => {
                (v4, v6) = (Some(Vec::new()), Some(Vec::new()));
            }
            _ => {}
        }
    }
    (v4.unwrap_or_else(|| vec![(0, u32::MAX)]), v6.unwrap_or_else(|| vec![(0, u128::MAX)]))
}
