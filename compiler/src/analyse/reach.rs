//! Which rules can ever have an effect, and what keeps the others from it.

use std::collections::{BTreeMap, BTreeSet};

use outcall_schema::artifact::item::{Child, LeafKind, NO_LEAF};
use outcall_schema::decision::Action;
use outcall_schema::field::FieldType;
use outcall_schema::layer::Layer;

use super::example::example;
use super::explore::{Question, explore};
use super::reached;
use super::side::Side;
use super::space::{ListId, Space};
use crate::decide::build::{Entry, Mode};
use crate::decide::formula::{Formula, Formulas};
use crate::emit::layers::{decisions, dns_entries};
use crate::resolve::Policy;

/// What can become of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Some request meets it.
    Reached,
    /// Its condition is never true: false, or about what no layer knows together.
    Never,
    /// Wherever it is true, one of these rules (by number) decided before; empty where they were too many to tell.
    Behind(Vec<usize>),
    /// A hold or enrich rule: wherever it is true, the request is refused.
    Refused,
    /// The search gave up before it found out.
    Unknown,
}

/// What was found out about each rule of a policy.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    /// By rule, in evaluation order.
    pub fates: Vec<Fate>,
    /// Rules whose condition is true in every request of every layer that can tell, by number.
    pub always: Vec<usize>,
    /// How many steps it took.
    pub steps: u64,
}

/// The steps that are taken to explain single rules, all together.
const EXPLAINING: u64 = 8_000_000;
/// The steps for the rules of a layer as a whole: a fixed part and one for each rule.
const LAYER: (u64, u64) = (1_000_000, 200);
/// The same for finding out which rules are ever reached, where most steps are copies.
const REACHED: (u64, u64) = (1_000_000, 1_000);

/// The allow and block rules of a layer.
pub(super) fn entries(policy: &Policy, formulas: &mut Formulas, layer: Layer) -> Vec<Entry> {
    if layer == Layer::Dns { dns_entries(policy, formulas) } else { decisions(policy, formulas, layer) }
}

/// Whether any TLS connection is ever terminated.
pub(super) fn intercepts(policy: &Policy) -> bool {
    use outcall_schema::egress::EgressMode;
    let by_mode = |egress: &outcall_schema::egress::Egress| egress.mode == EgressMode::Intercept;
    !policy.interception.hosts.is_empty() || policy.rules.iter().any(|rule| rule.egress.as_ref().is_some_and(by_mode))
}

/// A budget for searches over `entries` rules.
pub(super) fn budget(entries: usize) -> u64 {
    LAYER.0 + LAYER.1 * entries as u64
}

/// Finds out what can become of each rule.
pub(super) fn reach(formulas: &mut Formulas, side: &Side<'_>) -> Reach {
    let policy = side.policy;
    let of = |layers: &[Layer], list: &dyn Fn(Layer) -> Vec<Entry>| -> Vec<(Layer, Vec<Entry>)> {
        let asked = layers.iter().copied().filter(|layer| *layer != Layer::Https || side.intercepts);
        asked.map(|layer| (layer, list(layer))).collect()
    };
    let layers = of(
        &[Layer::Dns, Layer::Network, Layer::Connect, Layer::Http, Layer::Https, Layer::Docker, Layer::Run],
        &|layer| side.list(layer).to_vec(),
    );
    let duties =
        of(&[Layer::Connect, Layer::Http, Layer::Https, Layer::Response, Layer::Docker, Layer::Run], &|layer| {
            side.duties(layer).to_vec()
        });
    let response = side.list(Layer::Response);
    let mut space = Space::new(formulas);
    let mut found: BTreeSet<usize> = BTreeSet::new();
    let mut open = false;
    let lists: Vec<ListId> =
        layers.iter().map(|(_, entries)| space.list(Mode::First, entries.iter().copied())).collect();
    for ((_, entries), list) in layers.iter().zip(&lists) {
        let (rules, gave_up) = reached::reached(&mut space, *list, REACHED.0 + REACHED.1 * entries.len() as u64);
        open |= gave_up;
        found.extend(rules.into_iter().map(|rule| rule as usize));
    }
    let mut fates: Vec<Fate> = Vec::with_capacity(policy.rules.len());
    let limit = space.steps + EXPLAINING;
    let deciding_places = by_rule(&layers);
    let owed_places = by_rule(&duties);
    let response = space.list(Mode::First, response.iter().copied());
    let decided = |layer: Layer| match layer {
        Layer::Response => Some(response),
        _ => layers.iter().zip(&lists).find(|((known, _), _)| *known == layer).map(|(_, list)| *list),
    };
    for (number, rule) in policy.rules.iter().enumerate() {
        let deciding = matches!(rule.action, Action::Allow | Action::Block);
        fates.push(if deciding {
            match () {
                () if found.contains(&number) => Fate::Reached,
                () if open => {
                    let places = deciding_places.get(&number).map_or(&[][..], Vec::as_slice);
                    let shown = space.steps <= limit && is_shown(&mut space, side, &layers, places);
                    if shown { Fate::Reached } else { Fate::Unknown }
                }
                () if space.steps > limit => Fate::Unknown,
                () => behind(&mut space, &layers, &lists, deciding_places.get(&number).map_or(&[], Vec::as_slice)),
            }
        } else if space.steps > limit {
            Fate::Unknown
        } else {
            let mine = owed_places.get(&number).map_or(&[][..], Vec::as_slice);
            duty(&mut space, &decided, &duties, mine)
        });
    }
    let always = always(&mut space, policy, &layers, &deciding_places, limit);
    Reach { fates, always, steps: space.steps }
}

/// Where a rule's entries stand: the layer's place, and the entry's in it.
type Places = Vec<(usize, usize)>;

fn by_rule(layers: &[(Layer, Vec<Entry>)]) -> BTreeMap<usize, Places> {
    let mut places: BTreeMap<usize, Places> = BTreeMap::new();
    for (layer, (_, entries)) in layers.iter().enumerate() {
        for (at, (formula, leaf)) in entries.iter().enumerate() {
            if let Some(rule) = leaf.rule().filter(|_| *formula != Formulas::FALSE) {
                places.entry(rule as usize).or_default().push((layer, at));
            }
        }
    }
    places
}

/// A leaf that stands for "this rule is true".
fn hit() -> Child {
    Child::leaf(LeafKind::Allow, 0)
}

fn only(space: &mut Space<'_>, formula: Formula) -> ListId {
    space.list(Mode::First, [(formula, hit())])
}

/// Why a rule is never reached.
fn behind(space: &mut Space<'_>, layers: &[(Layer, Vec<Entry>)], lists: &[ListId], places: &[(usize, usize)]) -> Fate {
    let mut covering: BTreeSet<usize> = BTreeSet::new();
    let mut possible = false;
    for (layer, at) in places {
        let (Some((_, entries)), Some(all)) = (layers.get(*layer), lists.get(*layer)) else { continue };
        let Some((formula, leaf)) = entries.get(*at) else { continue };
        let question = Question { first_must_answer: true, budget: 200_000, ..Question::default() };
        let own = only(space, *formula);
        let alone = explore(space, vec![own], &question);
        if alone.found.is_empty() && !alone.open {
            continue;
        }
        possible = true;
        // The rule itself never answers, so what does is before it.
        let summary = explore(space, vec![own, *all], &question);
        if summary.open {
            return Fate::Behind(Vec::new());
        }
        let answers = summary.found.iter().filter_map(|(outcome, _)| outcome.get(1)).flatten();
        covering
            .extend(answers.filter_map(|it| it.rule()).filter(|rule| Some(*rule) != leaf.rule()).map(|it| it as usize));
    }
    if possible { Fate::Behind(covering.into_iter().collect()) } else { Fate::Never }
}

/// Whether the shortest request that one of a rule's entries is true of shows that the rule decides it.
fn is_shown(space: &mut Space<'_>, side: &Side<'_>, layers: &[(Layer, Vec<Entry>)], places: &[(usize, usize)]) -> bool {
    places.iter().any(|(layer, at)| {
        let Some((layer, entries)) = layers.get(*layer) else { return false };
        let Some((formula, leaf)) = entries.get(*at) else { return false };
        space.steps += entries.len() as u64 / 16;
        let own = only(space, *formula);
        let summary =
            explore(space, vec![own], &Question { first_must_answer: true, budget: 10_000, ..Question::default() });
        let way = summary.found.iter().find_map(|(_, ways)| ways.first());
        let request = way.and_then(|way| example(space.formulas, *layer, way.as_ref())?.request());
        request.is_some_and(|request| side.replay(space.formulas, *layer, &request) == Some(*leaf))
    })
}

/// Whether a hold or enrich rule is ever true of a request that is allowed.
fn duty(
    space: &mut Space<'_>,
    decided: &dyn Fn(Layer) -> Option<ListId>,
    duties: &[(Layer, Vec<Entry>)],
    places: &[(usize, usize)],
) -> Fate {
    let mut possible = false;
    for (layer, at) in places {
        let Some((layer, entries)) = duties.get(*layer) else { continue };
        let Some((formula, _)) = entries.get(*at) else { continue };
        let Some(all) = decided(*layer) else { continue };
        let own = only(space, *formula);
        let stop = |space: &Space<'_>, lists: &[ListId]| {
            // A request that is refused has no duties.
            lists.get(1).is_some_and(|list| space.get(*list).constant().is_some_and(|answer| !passes(&answer)))
        };
        let question = Question { stop: &stop, first_must_answer: true, budget: 400_000, ..Question::default() };
        let summary = explore(space, vec![own, all], &question);
        if !summary.found.is_empty() {
            return Fate::Reached;
        }
        if summary.open {
            return Fate::Unknown;
        }
        let alone = explore(space, vec![own], &Question { first_must_answer: true, ..Question::default() });
        possible |= !alone.found.is_empty() || alone.open;
    }
    if possible { Fate::Refused } else { Fate::Never }
}

/// Whether an answer lets anything pass.
pub(super) fn passes(answer: &[Child]) -> bool {
    answer.first().copied().unwrap_or(NO_LEAF).passes()
}

/// The rules that are true of every request, wherever they can be told at all.
fn always(
    space: &mut Space<'_>,
    policy: &Policy,
    layers: &[(Layer, Vec<Entry>)],
    by_rule: &BTreeMap<usize, Places>,
    limit: u64,
) -> Vec<usize> {
    let mut always = Vec::new();
    'rules: for (number, places) in by_rule {
        if places.is_empty() || policy.rules.get(*number).is_none() || space.steps > limit {
            continue;
        }
        let mut tunnel: Vec<Formula> = Vec::new();
        for (layer, at) in places {
            let Some((layer, entries)) = layers.get(*layer) else { continue 'rules };
            let Some((formula, _)) = entries.get(*at) else { continue 'rules };
            match layer {
                // At connect a rule has one entry for what it sees inside and one for tunnels; together they count.
                Layer::Connect => tunnel.push(*formula),
                // What an allow rule says of ordinary record types is not its author's condition.
                Layer::Dns => continue 'rules,
                _ if !true_everywhere(space, *formula) => continue 'rules,
                _ => {}
            }
        }
        let either = space.formulas.or(tunnel.iter().copied());
        if tunnel.is_empty() || true_everywhere(space, either) {
            always.push(*number);
        }
    }
    always
}

fn true_everywhere(space: &mut Space<'_>, formula: Formula) -> bool {
    let own = only(space, formula);
    let sources = space.get(own).sources.clone();
    // Most rules need some text to be there, and there are always other texts.
    let is_text = |space: &Space<'_>, source| space.source(source).field.row().ty != FieldType::Int;
    if sources.iter().any(|source| is_text(space, *source) && space.guards(formula, *source)) {
        return false;
    }
    let summary = explore(space, vec![own], &Question { budget: 50_000, ..Question::default() });
    !summary.open
        && !summary.found.is_empty()
        && summary.found.iter().all(|(outcome, _)| outcome.iter().all(|answer| !answer.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(rules: &str) -> (Vec<Fate>, Vec<usize>) {
        let text = format!("version: \"1\"\nrules:\n{rules}");
        let (policy, findings) = crate::resolve::from_texts(&[("a.yaml", &text)]);
        assert!(findings.is_empty(), "{findings:?}");
        let reach = crate::analyse::Analysis::new(&policy).reach();
        (reach.fates, reach.always)
    }

    fn rules(conditions: &[(&str, &str)]) -> String {
        let rule = |(number, (action, condition)): (usize, &(&str, &str))| {
            let hold = if *action == "hold" { ", hold: {}" } else { "" };
            format!("  - {{ id: r{number}, action: {action}, condition: {condition:?}{hold} }}\n")
        };
        conditions.iter().enumerate().map(rule).collect()
    }

    #[test]
    fn what_lies_behind_other_rules_is_found_with_their_names() {
        let (found, _) = fates(&rules(&[
            ("block", "http.host.endsWith('.example.com')"),
            ("allow", "http.host == 'a.example.com' && http.path.startsWith('/v1/')"),
            ("allow", "http.host == 'example.com'"),
            ("allow", "http.host in ['example.com', 'b.example.com'] && network.port == 443"),
        ]));
        assert_eq!(found, [Fate::Reached, Fate::Behind(vec![0]), Fate::Reached, Fate::Behind(vec![0, 2])]);
    }

    #[test]
    fn two_halves_cover_a_whole() {
        let (found, _) = fates(&rules(&[
            ("allow", "network.port < 1000 && http.host == 'example.com'"),
            ("block", "network.port >= 1000 && http.host == 'example.com'"),
            ("allow", "http.host == 'example.com' && http.path.matches('^/[a-z]+$')"),
            ("allow", "http.host == 'example.net' && http.path.matches('^/[a-z]+$')"),
            ("allow", "http.host == 'example.net' && http.path == '/abc'"),
            ("allow", "http.host == 'example.net' && http.path == '/ABC'"),
        ]));
        assert_eq!(
            found,
            [
                Fate::Reached,
                Fate::Reached,
                Fate::Behind(vec![0, 1]),
                Fate::Reached,
                Fate::Behind(vec![3]),
                Fate::Reached
            ]
        );
    }

    #[test]
    fn what_no_value_can_be_is_never_true() {
        let (found, _) = fates(&rules(&[
            ("allow", "http.host.contains('..')"),
            ("allow", "http.host == 'a.example' && http.host.startsWith('b')"),
            ("allow", "network.port > 70000"),
            ("allow", "http.host == 'a.example' && dns.query == 'a.example'"),
            ("allow", "http.host.matches('^[a-c]$') && http.host.matches('[d-f]')"),
            ("allow", "has(http.headers.x) && http.headers.x == ' a'"),
            ("allow", "http.path.startsWith('/a') && !http.path.startsWith('/a')"),
            ("allow", "http.path.startsWith('/a') && !http.path.startsWith('/ab')"),
        ]));
        let mut expected = vec![Fate::Never; 7];
        expected.push(Fate::Reached);
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_always_true_is_found() {
        let (_, found) = fates(&rules(&[
            ("block", "http.host == 'a.example' || http.host != 'a.example'"),
            ("block", "network.port >= 0"),
            ("block", "network.port >= 1"),
            ("block", "has(http.headers.x) || !has(http.headers.x)"),
        ]));
        assert_eq!(found, [0, 1, 3]);
    }

    #[test]
    fn duties_without_an_allowed_request_are_found() {
        let (found, _) = fates(&rules(&[
            ("allow", "http.host == 'a.example'"),
            ("hold", "http.host == 'a.example' && http.method == 'POST'"),
            ("hold", "http.host == 'b.example' && http.method == 'POST'"),
            ("hold", "http.host == 'a.example' && http.method == 'post'"),
        ]));
        assert_eq!(found, [Fate::Reached, Fate::Reached, Fate::Refused, Fate::Never]);
    }

    #[test]
    fn an_expression_over_two_fields_is_left_open() {
        let (found, _) = fates(&rules(&[
            ("block", "http.host == agent.name + '.example'"),
            ("allow", "http.host == 'a.example' && agent.name == 'a'"),
            ("allow", "http.host == agent.name + '.example'"),
        ]));
        assert_eq!(found, [Fate::Reached, Fate::Reached, Fate::Behind(vec![0])]);
    }
}
