//! What holds of rules beside one another and is seldom meant: each with a request that shows it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use outcall_schema::artifact::item::{Child, LeafKind};
use outcall_schema::artifact::writer::Source;
use outcall_schema::decision::Action;
use outcall_schema::egress::EgressMode;
use outcall_schema::field::Field;
use outcall_schema::layer::Layer;

use super::Analysis;
use super::example::{Example, example};
use super::explore::{Question, explore};
use super::reach::{budget, passes};
use super::replay::is_true;
use super::space::{ListId, Space};
use crate::decide::build::{Entry, Mode};
use crate::decide::formula::{Formula, Formulas, Test};
use crate::decide::lower::reads_field;

/// Layers that are asked about agents and about the order of rules.
const ASKED: [Layer; 6] = [Layer::Dns, Layer::Network, Layer::Connect, Layer::Http, Layer::Docker, Layer::Run];

/// So many findings of one kind are shown at once: each is confirmed rule by rule, and who mends some sees the next.
const SHOWN: usize = 64;

fn hit() -> Child {
    Child::leaf(LeafKind::Allow, 0)
}

impl Analysis<'_> {
    /// The allow and block rules that every layer sees as it sees an earlier one, each with the first such rule.
    pub fn same_condition(&self) -> HashMap<usize, usize> {
        let mut seen: HashMap<u32, Vec<(Layer, Formula)>> = HashMap::new();
        for layer in [Layer::Network, Layer::Http, Layer::Https, Layer::Dns, Layer::Docker, Layer::Run, Layer::Response]
        {
            for (formula, leaf) in self.side.list(layer) {
                if let Some(rule) = leaf.rule() {
                    seen.entry(rule).or_default().push((layer, *formula));
                }
            }
        }
        let mut first: HashMap<Vec<(Layer, Formula)>, u32> = HashMap::new();
        let mut same = HashMap::new();
        let mut rules: Vec<(u32, Vec<(Layer, Formula)>)> = seen.into_iter().collect();
        rules.sort_by_key(|(rule, _)| *rule);
        for (rule, formulas) in rules {
            let earlier = *first.entry(formulas).or_insert(rule);
            if earlier != rule {
                same.insert(rule as usize, earlier as usize);
            }
        }
        same
    }

    /// The allow rules that test the agent's name and are true of agents without one, too.
    pub fn nameless_agents(&mut self) -> Vec<(usize, Example)> {
        let side = &self.side;
        let mut found: BTreeMap<usize, Example> = BTreeMap::new();
        let asks: BTreeSet<usize> = side
            .policy
            .rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| rule.action == Action::Allow && reads_field(&rule.condition, Field::AgentName))
            .map(|(number, _)| number)
            .collect();
        let mut space = Space::new(&mut self.formulas);
        let agent = space.formulas.source(Source { field: Field::AgentName, key: None });
        let nameless = Test::Equals([String::new()].into());
        for layer in ASKED {
            for (formula, leaf) in side.list(layer) {
                let Some(number) = leaf.rule().map(|rule| rule as usize) else { continue };
                if found.contains_key(&number) || !asks.contains(&number) || *formula == Formulas::FALSE {
                    continue;
                }
                let literal =
                    space.formulas.literal(Source { field: Field::AgentName, key: None }, nameless.clone(), true);
                let both = space.formulas.and([*formula, literal]);
                if both == Formulas::FALSE || !space.formulas.dimensions(*formula).iter().any(|it| it.source == agent) {
                    continue;
                }
                let list = space.list(Mode::First, [(both, hit())]);
                let question = Question { first_must_answer: true, budget: 50_000, ..Question::default() };
                let summary = explore(&mut space, vec![list], &question);
                let way = summary.found.iter().find_map(|(_, ways)| ways.first());
                if let Some(example) = way.and_then(|way| example(space.formulas, layer, way.as_ref()))
                    && let Some(request) = example.request()
                    && side
                        .policy
                        .rules
                        .get(number)
                        .is_some_and(|rule| layer == Layer::Connect || is_true(rule, layer, &request.facts(layer)))
                {
                    found.insert(number, example);
                }
            }
        }
        found.into_iter().collect()
    }

    /// The rules that let a name resolve to which nothing is let through, each with such a name.
    pub fn names_for_nothing(&mut self) -> Vec<(usize, Example)> {
        let side = &self.side;
        // A rule on addresses may let through what any name resolves to.
        let by_address =
            side.list(Layer::Network).iter().any(|(formula, leaf)| leaf.passes() && *formula != Formulas::FALSE);
        let names = side.list(Layer::Dns).iter().any(|(formula, leaf)| leaf.passes() && *formula != Formulas::FALSE);
        if by_address || !names {
            return Vec::new();
        }
        let mut space = Space::new(&mut self.formulas);
        let ordinary = of_type(space.formulas, &["A", "AAAA", "HTTPS"]);
        let lists = vec![
            space.list(Mode::First, [(ordinary, hit())]),
            space.list(Mode::First, side.list(Layer::Dns).iter().copied()),
            space.list(Mode::First, side.implied.iter().copied()),
        ];
        let stop = |space: &Space<'_>, lists: &[ListId]| {
            let constant = |at: usize| lists.get(at).and_then(|list| space.get(*list).constant());
            // Refused, or let through.
            constant(1).is_some_and(|answer| !passes(&answer)) || constant(2).is_some_and(|answer| !answer.is_empty())
        };
        let count = side.list(Layer::Dns).len() + side.implied.len();
        let question = Question { stop: &stop, first_must_answer: true, budget: budget(count), ..Question::default() };
        let summary = explore(&mut space, lists, &question);
        let mut found: BTreeMap<usize, Example> = BTreeMap::new();
        for (outcome, ways) in &summary.found {
            if found.len() >= SHOWN {
                break;
            }
            let [_, decided, implied] = outcome.as_slice() else { continue };
            let Some(leaf) = decided.first().filter(|leaf| leaf.passes() && implied.is_empty()) else { continue };
            let Some(rule) = side.rule(*leaf) else { continue };
            if rule.egress.as_ref().is_some_and(|egress| egress.mode == EgressMode::DirectIp) {
                continue;
            }
            let example = ways.iter().find_map(|way| example(space.formulas, Layer::Dns, way.as_ref()));
            if let (Some(number), Some(example)) = (leaf.rule(), example)
                && example
                    .request()
                    .is_some_and(|request| side.replay(space.formulas, Layer::Dns, &request) == Some(*leaf))
            {
                found.entry(number as usize).or_insert(example);
            }
        }
        found.into_iter().collect()
    }

    /// The rules that let requests through to names none of which resolves, each with the rules that refuse the names.
    pub fn refused_names(&mut self) -> Vec<(usize, Vec<usize>)> {
        let side = &self.side;
        let names = side.list(Layer::Dns);
        if !names.iter().any(|(formula, leaf)| !leaf.passes() && *formula != Formulas::FALSE) {
            return Vec::new();
        }
        let mut by_rule: BTreeMap<u32, Vec<Formula>> = BTreeMap::new();
        for (formula, leaf) in &side.implied {
            by_rule.entry(leaf.rule().unwrap_or_default()).or_default().push(*formula);
        }
        let mut space = Space::new(&mut self.formulas);
        let all = space.list(Mode::First, names.iter().copied());
        let limit = space.steps + budget(names.len());
        let mut found = Vec::new();
        for (rule, formulas) in by_rule {
            if space.steps > limit {
                break;
            }
            let any = space.formulas.or(formulas);
            let own = space.list(Mode::First, [(any, hit())]);
            let question = Question { first_must_answer: true, budget: 100_000, ..Question::default() };
            let summary = explore(&mut space, vec![own, all], &question);
            let refusing: Option<BTreeSet<usize>> = summary
                .found
                .iter()
                .map(|(outcome, _)| {
                    let leaf = outcome.get(1)?.first()?;
                    (!leaf.passes()).then(|| leaf.rule().map(|rule| rule as usize)).flatten()
                })
                .collect();
            if let Some(refusing) = refusing.filter(|refusing| !refusing.is_empty() && !summary.open) {
                found.push((rule as usize, refusing.into_iter().collect()));
            }
        }
        found
    }

    /// Pairs of rules with one priority, in different files, where the files' names decide what becomes of a request:
    /// the rule that decides, and the one that would if the files were named otherwise.
    pub fn order_by_file_name(&mut self) -> Vec<(usize, usize, Example)> {
        let side = &self.side;
        let rules = &side.policy.rules;
        let file = |leaf: Child| side.rule(leaf).map(|rule| rule.span.file.name.as_str());
        let first = rules.first().map(|rule| rule.span.file.name.as_str());
        if rules.iter().all(|rule| Some(rule.span.file.name.as_str()) == first) {
            return Vec::new();
        }
        let effect = |leaf: Child| side.rule(leaf).map(|rule| (leaf.kind(), &rule.egress));
        let mut space = Space::new(&mut self.formulas);
        let mut found: BTreeMap<(usize, usize), Example> = BTreeMap::new();
        for layer in ASKED {
            let entries = side.list(layer);
            let turned = turned(entries, &|leaf| side.rule(leaf).map(|rule| rule.priority), &file);
            if turned.as_slice() == entries {
                continue;
            }
            let lists =
                vec![space.list(Mode::First, entries.iter().copied()), space.list(Mode::First, turned.iter().copied())];
            let stop = |space: &Space<'_>, lists: &[ListId]| {
                let [left, right] = lists else { return false };
                let alike = |list: &ListId| {
                    let list = space.get(*list);
                    let mut effects = list.entries.iter().map(|(_, leaf)| effect(*leaf));
                    let first = effects.next();
                    // What the default does is done by every list that only refuses.
                    first.is_none_or(|first| {
                        effects.all(|effect| effect == first) && list.entries.iter().all(|(_, leaf)| !leaf.passes())
                    })
                };
                left == right || (alike(left) && alike(right))
            };
            let question = Question { stop: &stop, budget: budget(entries.len()) / 4, ..Question::default() };
            let summary = explore(&mut space, lists, &question);
            for (outcome, ways) in &summary.found {
                if found.len() >= SHOWN {
                    break;
                }
                let [before, after] = outcome.as_slice() else { continue };
                let (Some(before), Some(after)) = (before.first(), after.first()) else { continue };
                if effect(*before) == effect(*after) || (!before.passes() && !after.passes()) {
                    continue;
                }
                let (Some(one), Some(two)) = (before.rule(), after.rule()) else { continue };
                let example = ways.iter().find_map(|way| example(space.formulas, layer, way.as_ref()));
                let Some(example) = example else { continue };
                let confirmed = example
                    .request()
                    .is_some_and(|request| side.replay(space.formulas, layer, &request) == Some(*before));
                if confirmed {
                    found.entry((one as usize, two as usize)).or_insert(example);
                }
            }
        }
        found.into_iter().map(|((one, two), example)| (one, two, example)).collect()
    }
}

/// The entries as they would stand if the files were named in the opposite order.
fn turned<'f>(
    entries: &[Entry],
    priority: &dyn Fn(Child) -> Option<i64>,
    file: &dyn Fn(Child) -> Option<&'f str>,
) -> Vec<Entry> {
    let mut turned = entries.to_vec();
    turned.sort_by(|(_, left), (_, right)| {
        priority(*left).cmp(&priority(*right)).then_with(|| file(*right).cmp(&file(*left)))
    });
    turned
}

fn of_type(formulas: &mut Formulas, names: &[&str]) -> Formula {
    let types = names.iter().map(|name| (*name).to_owned()).collect();
    formulas.literal(Source { field: Field::DnsRecordType, key: None }, Test::Equals(types), true)
}
