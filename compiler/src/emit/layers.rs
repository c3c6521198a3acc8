//! The rules as each layer sees them: ordered formulas with answers, built into `dns.table` and `proxy.prog`.

use outcall_schema::artifact::dns_table::DnsRoots;
use outcall_schema::artifact::item::{Child, LeafKind, NO_LEAF};
use outcall_schema::artifact::manifest::Interception;
use outcall_schema::artifact::match_program::{Fallback, MatchRoots};
use outcall_schema::artifact::writer::Source;
use outcall_schema::decision::Action;
use outcall_schema::egress::EgressMode;
use outcall_schema::field::{Field, Knowledge};
use outcall_schema::layer::{Layer, Stage};

use super::DECIDED;
use crate::decide::build::{Builder, Entry, Mode, Stats};
use crate::decide::exists::{every, exists};
use crate::decide::formula::{Formula, Formulas};
use crate::decide::lower::{View, host_pattern, lower};
use crate::decide::sink::Written;
use crate::resolve::{Policy, Rule};

/// Builds of one artifact, by entry point.
type Rows = Vec<(String, Stats)>;

/// Record types that a rule without a test of `dns.record_type` allows (HTTPS as RFC 9460, section 9 has it).
const ORDINARY_TYPES: [&str; 4] = ["A", "AAAA", "CNAME", "HTTPS"];

/// The DNS table's bytes.
pub(crate) fn dns_table(policy: &Policy, formulas: &mut Formulas) -> (Vec<u8>, Rows) {
    let mut rows = Rows::new();
    let mut written = Written::default();
    let entries = dns_entries(policy, formulas);
    let query = build(formulas, &mut written, Layer::Dns, "dns", entries, Mode::First, &mut rows);
    written.known = Some(|source| {
        source.key.is_none()
            && matches!(source.field, Field::HttpHost | Field::NetworkHostname | Field::TlsSni | Field::AgentName)
    });
    let mut built: Vec<(Vec<Entry>, Child)> = Vec::new();
    let mut implied = |layer: Layer, only: LeafKind, name: &str, rows: &mut Rows| {
        let entries: Vec<Entry> = decisions(policy, formulas, layer)
            .into_iter()
            .map(|(formula, leaf)| (formula, open_leaf(policy, leaf, only)))
            .collect();
        if !entries.iter().any(|(_, leaf)| leaf.passes()) {
            return NO_LEAF;
        }
        once(&mut built, entries, |entries| build(formulas, &mut written, layer, name, entries, Mode::First, rows))
    };
    let roots = DnsRoots {
        query,
        implied_tunnel: implied(Layer::Connect, LeafKind::Allow, "names from tunnels", &mut rows),
        implied_intercept: implied(Layer::Connect, LeafKind::Intercept, "names from interception", &mut rows),
        implied_http: implied(Layer::Http, LeafKind::Allow, "names from requests", &mut rows),
        implied_https: implied(Layer::Https, LeafKind::Allow, "names from intercepted requests", &mut rows),
    };
    (roots.write(written.writer), rows)
}

/// Plain and intercepted requests are most often decided by the very same entries, and learn what they know at the same
/// points, so that one graph serves both.
fn once(built: &mut Vec<(Vec<Entry>, Child)>, entries: Vec<Entry>, build: impl FnOnce(Vec<Entry>) -> Child) -> Child {
    if let Some((_, root)) = built.iter().find(|(known, _)| *known == entries) {
        return *root;
    }
    let root = build(entries.clone());
    built.push((entries, root));
    root
}

/// A leaf as the implied names need it: passing only where its kind is asked for, and with what it says of private
/// addresses.
pub(crate) fn open_leaf(policy: &Policy, leaf: Child, only: LeafKind) -> Child {
    let Some(rule) = leaf.rule() else { return leaf };
    let egress = policy.rules.get(rule as usize).and_then(|rule| rule.egress.as_ref());
    let kind = match leaf.kind() {
        kind if kind != only => LeafKind::Block,
        _ if egress.is_some_and(|egress| egress.allow_private_ips) => LeafKind::AllowPrivate,
        _ => LeafKind::Allow,
    };
    Child::leaf(kind, rule)
}

/// The allow and block rules as the DNS filter sees them, in evaluation order.
pub(crate) fn dns_entries(policy: &Policy, formulas: &mut Formulas) -> Vec<Entry> {
    let record_type = Source { field: Field::DnsRecordType, key: None };
    let ordinary = ORDINARY_TYPES.iter().map(|name| (*name).to_owned()).collect();
    let ordinary = formulas.literal(record_type, crate::decide::formula::Test::Equals(ordinary), true);
    deciding(policy)
        .map(|(number, rule)| {
            let formula = lower(formulas, &rule.condition, view(rule, Layer::Dns));
            // An allow rule that says nothing of record types allows the ordinary ones.
            let names_types = crate::decide::lower::reads_field(&rule.condition, Field::DnsRecordType);
            if rule.action == Action::Allow && !names_types {
                (formulas.and([formula, ordinary]), leaf(rule, number))
            } else {
                (formula, leaf(rule, number))
            }
        })
        .collect()
}

/// The match program's bytes. `predicates` are conditions over the agent that the kernel's sets need.
pub(super) fn match_program(policy: &Policy, formulas: &mut Formulas, predicates: &[Formula]) -> (Vec<u8>, Rows) {
    let mut rows = Rows::new();
    let mut written = Written::default();
    let mut roots = MatchRoots::default();
    let mut built = Vec::new();
    for layer in DECIDED {
        let entries = decisions(policy, formulas, layer);
        let mut build = |entries| build(formulas, &mut written, layer, layer.name(), entries, Mode::First, &mut rows);
        let root = match layer {
            Layer::Http | Layer::Https => once(&mut built, entries, build),
            _ => build(entries),
        };
        roots.decisions.push((layer, root));
    }
    for layer in [Layer::Connect, Layer::Http, Layer::Https, Layer::Response, Layer::Docker, Layer::Run] {
        let entries = obligations(policy, formulas, layer);
        let name = format!("{layer} obligations");
        let root = build(formulas, &mut written, layer, &name, entries, Mode::All, &mut rows);
        roots.obligations.push((layer, root));
    }
    if let Some(entries) = fallback_entries(policy, formulas) {
        let mut build =
            |name, entries, mode| build(formulas, &mut written, Layer::Connect, name, entries, mode, &mut rows);
        roots.fallback = Some(Fallback {
            tunnel: build("fallback", entries.tunnel, Mode::First),
            obligations: build("fallback obligations", entries.obligations, Mode::All),
        });
    }
    for predicate in predicates {
        let entry = (*predicate, Child::leaf(LeafKind::Allow, 0));
        let root = build(formulas, &mut written, Layer::Network, "agent sets", vec![entry], Mode::First, &mut rows);
        roots.predicates.push(root);
    }
    (roots.write(written.writer), rows)
}

fn build(
    formulas: &mut Formulas,
    written: &mut Written,
    layer: Layer,
    name: &str,
    entries: Vec<Entry>,
    mode: Mode,
    rows: &mut Rows,
) -> Child {
    let known = written.known;
    let stage = move |source: &Source| match (known, source.field.knowledge(layer)) {
        (Some(known), _) => u8::from(!known(source)),
        (None, Some(Knowledge::From(stage))) => stage as u8,
        (None, _) => Stage::Head as u8,
    };
    let count = entries.len();
    let mut builder = Builder::new(formulas, std::mem::take(written), mode, count, stage);
    let root = builder.build(entries);
    rows.push((name.to_owned(), builder.stats));
    *written = builder.sink;
    root
}

pub(crate) fn deciding(policy: &Policy) -> impl Iterator<Item = (u32, &Rule)> {
    (0..).zip(&policy.rules).filter(|(_, rule)| matches!(rule.action, Action::Allow | Action::Block))
}

/// The hold and enrich rules as `layer` sees them.
pub(crate) fn obligations(policy: &Policy, formulas: &mut Formulas, layer: Layer) -> Vec<Entry> {
    (0..)
        .zip(&policy.rules)
        .filter(|(_, rule)| matches!(rule.action, Action::Hold | Action::Enrich))
        .map(|(number, rule)| {
            (lower(formulas, &rule.condition, view(rule, layer)), Child::leaf(LeafKind::Allow, number))
        })
        .collect()
}

fn leaf(rule: &Rule, number: u32) -> Child {
    let kind = if rule.action == Action::Allow { LeafKind::Allow } else { LeafKind::Block };
    Child::leaf(kind, number)
}

/// From where `layer` looks at a rule.
pub(crate) fn view(rule: &Rule, layer: Layer) -> View {
    let reads_body = rule.egress.as_ref().is_some_and(|egress| egress.match_body);
    View { layer, null_body: rule.action == Action::Allow && !reads_body }
}

/// The allow and block rules as `layer` sees them, in evaluation order.
pub(crate) fn decisions(policy: &Policy, formulas: &mut Formulas, layer: Layer) -> Vec<Entry> {
    if layer == Layer::Connect {
        return connect_entries(policy, formulas);
    }
    deciding(policy)
        .map(|(number, rule)| (lower(formulas, &rule.condition, view(rule, layer)), leaf(rule, number)))
        .collect()
}

/// At connect, in rule order, the first rule that is true for a tunnel, or that sees inside and could be true for some
/// request there, decides: by interception if it sees inside, else by its action.
fn connect_entries(policy: &Policy, formulas: &mut Formulas) -> Vec<Entry> {
    let [in_hosts, not_in_hosts] = listed(&policy.interception.hosts, formulas);
    let [in_bypass, not_in_bypass] = listed(&policy.interception.bypass, formulas);
    let mut entries = Vec::new();
    for (number, rule) in deciding(policy) {
        let tunnel = lower(formulas, &rule.condition, view(rule, Layer::Connect));
        let (sees, blind) = if intercepts(rule) {
            (not_in_bypass, in_bypass)
        } else {
            (formulas.and([in_hosts, not_in_bypass]), formulas.or([not_in_hosts, in_bypass]))
        };
        if sees != Formulas::FALSE {
            let inside = lower(formulas, &rule.condition, view(rule, Layer::Https));
            let inside = exists(formulas, inside, &is_inside);
            let either = formulas.or([tunnel, inside]);
            entries.push((formulas.and([sees, either]), Child::leaf(LeafKind::Intercept, number)));
        }
        entries.push((formulas.and([blind, tunnel]), leaf(rule, number)));
    }
    entries
}

/// The formulas that a host is in a list, and that it is not.
fn listed(patterns: &[String], formulas: &mut Formulas) -> [Formula; 2] {
    [true, false].map(|wanted| {
        let parts: Vec<Formula> = patterns.iter().map(|pattern| host_pattern(formulas, pattern, wanted)).collect();
        if wanted { formulas.or(parts) } else { formulas.and(parts) }
    })
}

fn intercepts(rule: &Rule) -> bool {
    rule.egress.as_ref().is_some_and(|egress| egress.mode == EgressMode::Intercept)
}

/// What the entry points of [`Fallback`] are built from.
pub(crate) struct FallbackEntries {
    /// See [`Fallback::tunnel`].
    pub(crate) tunnel: Vec<Entry>,
    /// See [`Fallback::obligations`].
    pub(crate) obligations: Vec<Entry>,
}

/// The rules that let a listed host's connection pass as a tunnel when interception fails; `None` where no rule does.
///
/// At a listed host every rule sees inside, so that the connect layer names the first rule that could be true of the tunnel
/// or of anything inside. Where that rule is one of those here, and so true of all there could be, then no rule before it
/// refuses any request, and it allows every one.
pub(crate) fn fallback_entries(policy: &Policy, formulas: &mut Formulas) -> Option<FallbackEntries> {
    let Interception { hosts, bypass, strict } = &policy.interception;
    if hosts.iter().all(|host| bypass.contains(host) || strict.contains(host)) {
        return None;
    }
    let [in_hosts, _] = listed(hosts, formulas);
    let [_, not_in_bypass] = listed(bypass, formulas);
    let [_, not_in_strict] = listed(strict, formulas);
    let may_fall_back = formulas.and([in_hosts, not_in_bypass, not_in_strict]);
    let mut tunnel = Vec::new();
    for (number, rule) in deciding(policy).filter(|(_, rule)| rule.action == Action::Allow && !intercepts(rule)) {
        let inside = lower(formulas, &rule.condition, view(rule, Layer::Https));
        let every_request = every(formulas, inside, &is_inside);
        let around = lower(formulas, &rule.condition, view(rule, Layer::Connect));
        let formula = formulas.and([may_fall_back, around, every_request]);
        if formula != Formulas::FALSE {
            tunnel.push((formula, leaf(rule, number)));
        }
    }
    if tunnel.is_empty() {
        return None;
    }
    let obligations = (0..)
        .zip(&policy.rules)
        .filter(|(_, rule)| matches!(rule.action, Action::Hold | Action::Enrich))
        .map(|(number, rule)| {
            let parts = [Layer::Connect, Layer::Https, Layer::Response].map(|layer| {
                let condition = lower(formulas, &rule.condition, view(rule, layer));
                exists(formulas, condition, &|source| is_inside(source) || is_response(source))
            });
            let possible = formulas.or(parts);
            (formulas.and([may_fall_back, possible]), Child::leaf(LeafKind::Allow, number))
        })
        .collect();
    Some(FallbackEntries { tunnel, obligations })
}

fn is_response(source: &Source) -> bool {
    matches!(source.field, Field::ResponseStatus | Field::ResponseHeaders)
}

/// Whether a value is only known of a request inside a connection.
pub(crate) fn is_inside(source: &Source) -> bool {
    matches!(
        source.field,
        Field::HttpMethod | Field::HttpPath | Field::HttpHeaders | Field::HttpBody | Field::HttpBodySize
    )
}
