//! Which names resolve on each side of a difference: every class of names, record types and agents that the rules tell
//! apart, each answered by the very tables that the filter reads.
//!
//! A name follows from rules on connections and requests as far as one of them could allow something at that host. What
//! else is known of a request is left open, as it is in the tables.

use outcall_schema::artifact::item::{Child, LeafKind};
use outcall_schema::artifact::writer::Source;
use outcall_schema::decision::NameVerdict;
use outcall_schema::field::Field;
use outcall_schema::layer::Layer;

use super::diff::tail_stripped;
use super::example::example;
use super::explore::{Outcome, Question, Summary, explore};
use super::reach::budget;
use super::side::{IMPLIED_TYPES, Side};
use super::space::{ListId, Space};
use crate::decide::build::{Entry, Mode};
use crate::decide::formula::Test;
use crate::emit::layers::open_leaf;

/// From which decisions names follow, and which of their answers count, as in the tables.
const ROOTS: [(Layer, LeafKind); 4] = [
    (Layer::Connect, LeafKind::Allow),
    (Layer::Connect, LeafKind::Intercept),
    (Layer::Http, LeafKind::Allow),
    (Layer::Https, LeafKind::Allow),
];
/// The lists of a side: the rules on names, then those from which names follow.
const WIDTH: usize = 1 + ROOTS.len();

/// What becomes of names, and whether the search gave up: for each side the rule on names that decides, the rule that a
/// name follows from, and nothing that is owed.
pub(super) fn outcomes(
    space: &mut Space<'_>,
    sides: &[Side<'_>; 2],
    effect: &dyn Fn(Child) -> String,
    keep: usize,
) -> Summary {
    let mut effects: Vec<String> = Vec::new();
    let mut lists = vec![types(space)];
    for side in sides {
        let decided: Vec<Entry> = side
            .list(Layer::Dns)
            .iter()
            .map(|(formula, leaf)| {
                let effect = effect(*leaf);
                let number = effects.iter().position(|known| *known == effect).unwrap_or_else(|| {
                    effects.push(effect);
                    effects.len() - 1
                });
                (*formula, Child::leaf(leaf.kind(), u32::try_from(number).unwrap_or_default()))
            })
            .collect();
        lists.push(space.list(Mode::First, decided));
        for (layer, kind) in ROOTS {
            let entries = followed(space, side, layer, kind);
            lists.push(space.list(Mode::First, entries));
        }
    }
    let stop = |_: &Space<'_>, lists: &[ListId]| {
        let (before, after) = lists.get(1..).unwrap_or_default().split_at(WIDTH);
        before == after
    };
    let trim = |space: &Space<'_>, lists: &mut [ListId], empty: ListId| {
        let Some((types, sides)) = lists.split_first_mut() else { return };
        let other_type = space.get(*types).constant().is_some_and(|answer| answer.is_empty());
        for side in sides.chunks_mut(WIDTH) {
            let Some((decided, roots)) = side.split_first_mut() else { continue };
            // A rule on the name goes first.
            if other_type || space.get(*decided).constant().is_some_and(|answer| !answer.is_empty()) {
                roots.fill(empty);
            }
            // Where none of the connections could be terminated, what is in them does not matter, and the reverse.
            if let [_, intercepted, _, inside] = roots
                && (*intercepted == empty || *inside == empty)
            {
                (*intercepted, *inside) = (empty, empty);
            }
        }
        if sides.chunks(WIDTH).all(|side| side.get(1..).is_some_and(|roots| roots.iter().all(|list| *list == empty))) {
            *types = empty;
        }
    };
    let known = |source: &Source| {
        source.key.is_none() && matches!(source.field, Field::DnsQuery | Field::DnsRecordType | Field::AgentName)
    };
    let count = sides.iter().map(|side| side.list(Layer::Dns).len()).sum();
    let within: &[usize] = &[2, 3, 4, 5, 7, 8, 9, 10];
    let question = Question {
        stop: &stop,
        trim: &trim,
        keep,
        budget: budget(count),
        rest: Some((within, &known)),
        ..Question::default()
    };
    let summary = explore(space, lists, &question);
    // Here leaves stand for what rules do and not for rules.
    space.given_up.clear();
    let mut answered = Summary { found: Vec::new(), open: summary.open };
    for (outcome, ways) in &summary.found {
        let (before, after) = outcome.get(1..).unwrap_or_default().split_at(WIDTH);
        let expected = [before, after].map(Expected::of);
        if expected[0] == expected[1] {
            continue;
        }
        let shown = ways.iter().find_map(|way| example(space.formulas, Layer::Dns, way.as_ref()));
        let Some(request) = shown.and_then(|example| example.request()) else {
            answered.open = true;
            continue;
        };
        let mut outcome: Outcome = Vec::new();
        for (side, expected) in sides.iter().zip(&expected) {
            let decided = side.replay(space.formulas, Layer::Dns, &request);
            let followed = match side.lookup(space.formulas, &request) {
                Some(NameVerdict::Implied { rule, .. }) if decided.is_none() => {
                    Some(Child::leaf(LeafKind::Allow, rule.0 + side.offset))
                }
                _ => None,
            };
            // An expression over several values may come out otherwise than was assumed.
            let kind = |leaf: Option<Child>| leaf.map(Child::kind);
            answered.open |=
                kind(decided) != kind(expected.decided) || followed.is_some() != expected.followed.is_some();
            outcome.extend([decided.into_iter().collect(), followed.into_iter().collect(), Vec::new()]);
        }
        answered.found.push((outcome, ways.clone()));
    }
    answered
}

/// What the lists of a side come to.
#[derive(PartialEq, Eq)]
struct Expected {
    /// What the rule on names that decides does.
    decided: Option<Child>,
    /// What could pass, where no such rule decides.
    followed: Option<LeafKind>,
}

impl Expected {
    fn of(answers: &[Vec<Child>]) -> Expected {
        let first = |at: usize| answers.get(at).and_then(|answer| answer.first()).copied();
        let decided = first(0);
        let [tunnel, intercepted, http, inside] = [1, 2, 3, 4].map(|at| first(at).filter(|leaf| leaf.passes()));
        let inside = intercepted.and(inside);
        let ways = || [tunnel, http, inside].into_iter().flatten().map(Child::kind);
        let private = ways().any(|kind| kind == LeafKind::AllowPrivate);
        let followed = ways().next().filter(|_| decided.is_none());
        Expected { decided, followed: followed.map(|_| if private { LeafKind::AllowPrivate } else { LeafKind::Allow }) }
    }
}

/// The record types that follow from rules.
fn types(space: &mut Space<'_>) -> ListId {
    let record_type = Source { field: Field::DnsRecordType, key: None };
    let types = Test::Equals(IMPLIED_TYPES.iter().map(|name| (*name).to_owned()).collect());
    let formula = space.formulas.literal(record_type, types, true);
    space.list(Mode::First, [(formula, Child::leaf(LeafKind::Allow, 0))])
}

/// The decisions of a layer, asked about the name that is queried; which rule it is does not matter.
fn followed(space: &mut Space<'_>, side: &Side<'_>, layer: Layer, only: LeafKind) -> Vec<Entry> {
    if layer == Layer::Https && !side.intercepts {
        return Vec::new();
    }
    let name = |source: &Source| {
        matches!(source.field, Field::HttpHost | Field::NetworkHostname | Field::TlsSni)
            .then_some(Source { field: Field::DnsQuery, key: None })
    };
    let entries = side.list(layer).iter().map(|(formula, leaf)| {
        let leaf = leaf.rule().map_or(*leaf, |rule| {
            let own = Child::leaf(leaf.kind(), rule.saturating_sub(side.offset));
            Child::leaf(open_leaf(side.policy, own, only).kind(), 0)
        });
        (space.formulas.rename(*formula, &name), leaf)
    });
    let entries: Vec<Entry> = entries.collect();
    tail_stripped(&entries)
}
