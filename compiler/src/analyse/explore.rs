//! All answers that several lists of rules can give to one request together, each with the shortest example.
//!
//! One value after another is chosen and its range split into the classes that the rules' tests tell apart; what is left of
//! the lists in each class is gone on with, equal rests once. Where nothing is left to choose, the answers are known. What
//! is reported as not found cannot occur: classes are only left out when no value lies in them, and expressions that are
//! no test of one value may come out any way.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::rc::Rc;

use outcall_schema::artifact::item::Child;

use super::space::{ListId, Region, Space};
use super::split;
use crate::decide::build::Mode;
use crate::decide::formula::SourceId;

/// How many values are chosen one after another before the search gives up on a branch.
const DEPTH: usize = 96;

/// The answers of each list: at most one for a list that asks for the first, any number for one that asks for all.
pub(super) type Outcome = Vec<Vec<Child>>;

/// Where a class of values lies, in words and by an example.
#[derive(Debug)]
pub(super) enum Choice {
    /// The text, exactly.
    Exactly(SourceId, String),
    /// A text of a class; the words say which.
    Text(SourceId, Option<String>, String),
    /// No value.
    Missing(SourceId),
    /// A number of a range.
    Number(SourceId, i64, (i64, i64)),
    /// An address of a range.
    Address(SourceId, IpAddr, IpAddr),
    /// An expression that is no test of one value was assumed to come out some way.
    Assumed,
}

/// Choices, the last one first.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) choice: Rc<Choice>,
    cost: usize,
    pub(super) rest: Option<Rc<Path>>,
}

impl Path {
    /// How long an example it makes.
    pub(super) fn cost(&self) -> usize {
        self.cost
    }
}

/// What a search came to.
#[derive(Debug, Default)]
pub(super) struct Summary {
    /// Every outcome that was found, with the shortest ways to it.
    pub(super) found: Vec<(Outcome, Vec<Option<Rc<Path>>>)>,
    /// Whether the search gave up somewhere, so that there may be others.
    pub(super) open: bool,
}

/// A question.
pub(super) struct Question<'q> {
    /// Whether nothing that these lists can still answer matters.
    pub(super) stop: &'q dyn Fn(&Space<'_>, &[ListId]) -> bool,
    /// Puts the empty list, which comes last, in place of lists that do not matter once others have answered.
    pub(super) trim: &'q dyn Fn(&Space<'_>, &mut [ListId], ListId),
    /// Only requests for which the first list answers matter.
    pub(super) first_must_answer: bool,
    /// How many ways to an outcome are kept.
    pub(super) keep: usize,
    /// How many steps the search may take.
    pub(super) budget: u64,
}

impl Default for Question<'_> {
    fn default() -> Self {
        Question { stop: &|_, _| false, trim: &|_, _, _| {}, first_must_answer: false, keep: 1, budget: 4_000_000 }
    }
}

/// What a list came to so far: the lists, and what is known of values that still matter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    lists: Vec<ListId>,
    regions: Vec<(SourceId, usize)>,
}

struct Search<'s, 'f, 'q> {
    space: &'s mut Space<'f>,
    question: &'q Question<'q>,
    limit: u64,
    empty: ListId,
    known: HashMap<State, Rc<Summary>>,
    regions: Vec<Region>,
}

/// All outcomes of the lists.
pub(super) fn explore(space: &mut Space<'_>, lists: Vec<ListId>, question: &Question<'_>) -> Rc<Summary> {
    let limit = space.steps.saturating_add(question.budget);
    let empty = space.list(Mode::First, []);
    let mut search = Search { space, question, limit, empty, known: HashMap::new(), regions: Vec::new() };
    search.go(State { lists, regions: Vec::new() }, 0)
}

impl Choice {
    pub(super) fn source(&self) -> Option<SourceId> {
        match self {
            Choice::Exactly(source, _)
            | Choice::Text(source, ..)
            | Choice::Missing(source)
            | Choice::Number(source, ..)
            | Choice::Address(source, ..) => Some(*source),
            Choice::Assumed => None,
        }
    }

    /// Each choice makes an example longer, and so does each character.
    fn cost(&self) -> usize {
        16 + match self {
            Choice::Exactly(_, text) | Choice::Text(_, Some(text), _) => text.len(),
            Choice::Text(_, None, _) => 1_000,
            Choice::Missing(_) | Choice::Number(..) => 0,
            Choice::Address(..) => 4,
            Choice::Assumed => 500,
        }
    }
}

impl Search<'_, '_, '_> {
    fn go(&mut self, mut state: State, depth: usize) -> Rc<Summary> {
        (self.question.trim)(self.space, &mut state.lists, self.empty);
        if (self.question.stop)(self.space, &state.lists) {
            return Rc::default();
        }
        let constants: Vec<Option<Vec<Child>>> =
            state.lists.iter().map(|list| self.space.get(*list).constant()).collect();
        if self.question.first_must_answer && constants.first().is_some_and(|first| first.as_deref() == Some(&[])) {
            return Rc::default();
        }
        if let Some(outcome) = constants.iter().cloned().collect::<Option<Outcome>>() {
            return Rc::new(Summary { found: vec![(outcome, vec![None])], open: false });
        }
        let open: Vec<ListId> = state
            .lists
            .iter()
            .zip(&constants)
            .filter(|(_, constant)| constant.is_none())
            .map(|(list, _)| *list)
            .collect();
        let mentioned: BTreeSet<SourceId> =
            open.iter().flat_map(|list| self.space.get(*list).sources.iter().copied().collect::<Vec<_>>()).collect();
        state.regions.retain(|(source, _)| mentioned.contains(source));
        if let Some(known) = self.known.get(&state) {
            return Rc::clone(known);
        }
        if self.space.steps > self.limit || depth > DEPTH {
            return Rc::new(Summary { found: Vec::new(), open: true });
        }
        let focus = open.first().copied().into_iter().collect::<Vec<_>>();
        let region = |source: SourceId| {
            let number = state.regions.iter().find(|(known, _)| *known == source)?.1;
            self.regions.get(number).cloned()
        };
        let must = self.question.first_must_answer && state.lists.first() == focus.first();
        let classes = split::split(self.space, &state.lists, &focus, must, &region);
        let mut found: HashMap<Outcome, Vec<Option<Rc<Path>>>> = HashMap::new();
        let mut order: Vec<Outcome> = Vec::new();
        let mut gave_up = false;
        for class in classes {
            let cost = class.choice.cost();
            let choice = Rc::new(class.choice);
            let mut regions = state.regions.clone();
            if let Some(source) = choice.source() {
                regions.retain(|(known, _)| *known != source);
                if let Some(region) = class.region {
                    let number = self.regions.iter().position(|known| *known == region).unwrap_or_else(|| {
                        self.regions.push(region);
                        self.regions.len() - 1
                    });
                    regions.push((source, number));
                    regions.sort_unstable();
                }
            }
            let below = self.go(State { lists: class.lists, regions }, depth + 1);
            gave_up |= below.open;
            for (outcome, ways) in &below.found {
                let mine = found.entry(outcome.clone()).or_insert_with(|| {
                    order.push(outcome.clone());
                    Vec::new()
                });
                for way in ways {
                    let total = cost + way.as_ref().map_or(0, |way| way.cost);
                    if mine.len() >= self.question.keep
                        && mine.last().is_some_and(|last| last.as_ref().map_or(0, |last| last.cost) <= total)
                    {
                        continue;
                    }
                    let path = Path { choice: Rc::clone(&choice), cost: total, rest: way.clone() };
                    mine.push(Some(Rc::new(path)));
                    mine.sort_by_key(|way| way.as_ref().map_or(0, |way| way.cost));
                    mine.truncate(self.question.keep.max(1));
                }
            }
        }
        let found = order
            .into_iter()
            .map(|outcome| {
                let ways = found.remove(&outcome).unwrap_or_default();
                (outcome, ways)
            })
            .collect();
        let summary = Rc::new(Summary { found, open: gave_up });
        self.known.insert(state, Rc::clone(&summary));
        summary
    }
}
