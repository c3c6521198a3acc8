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
use outcall_schema::artifact::writer::Source;

use super::cases::Region;
use super::domain;
use super::part::{self, Part};
use super::space::{ListId, Space};
use super::split::{self, Class, Left};
use crate::decide::build::Mode;
use crate::decide::formula::Formulas;
use crate::decide::formula::SourceId;
use crate::decide::sink::possible;

/// How many values are chosen one after another before the search gives up on a branch.
pub(super) const DEPTH: usize = 96;

/// The answers of each list: at most one for a list that asks for the first, any number for one that asks for all.
pub(super) type Outcome = Vec<Vec<Child>>;

/// An example of a class of values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A text, where one was found.
    Text(Option<String>),
    /// No value.
    Missing,
    /// A number.
    Number(i64),
    /// An address.
    Address(IpAddr),
    /// An expression that is no test of one value was assumed to come out some way.
    Assumed,
}

/// A value that was chosen.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) source: Option<SourceId>,
    pub(super) value: Value,
    /// For which values the same holds.
    pub(super) words: String,
}

/// How to get to an outcome; `None` where no value matters.
pub(super) type Way = Option<Rc<Path>>;

/// Choices, the first one first.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) choice: Rc<Choice>,
    cost: usize,
    pub(super) rest: Way,
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
    pub(super) found: Vec<(Outcome, Vec<Way>)>,
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
    /// Lists, by their place, of which only some values are asked: what could pass in the rest of them is their answer.
    pub(super) rest: Option<Rest<'q>>,
}

/// The places of such lists, and whether a value is asked.
pub(super) type Rest<'q> = (&'q [usize], &'q dyn Fn(&Source) -> bool);

impl Default for Question<'_> {
    fn default() -> Self {
        Question {
            stop: &|_, _| false,
            trim: &|_, _, _| {},
            first_must_answer: false,
            keep: 1,
            budget: 4_000_000,
            rest: None,
        }
    }
}

/// What a list came to so far: the lists, and what is known of values that still matter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    lists: Vec<ListId>,
    regions: Vec<(SourceId, Region)>,
}

struct Search<'s, 'f, 'q> {
    space: &'s mut Space<'f>,
    question: &'q Question<'q>,
    limit: u64,
    empty: ListId,
    known: HashMap<State, Rc<Summary>>,
    rests: HashMap<ListId, ListId>,
}

/// All outcomes of the lists.
pub(super) fn explore(space: &mut Space<'_>, lists: Vec<ListId>, question: &Question<'_>) -> Rc<Summary> {
    let limit = space.steps.saturating_add(question.budget);
    let empty = space.list(Mode::First, []);
    let mut search = Search { space, question, limit, empty, known: HashMap::new(), rests: HashMap::new() };
    search.go(State { lists, regions: Vec::new() }, 0)
}

impl Value {
    /// Each choice makes an example longer, and so does each character.
    fn cost(&self) -> usize {
        16 + match self {
            Value::Text(Some(text)) => text.len(),
            Value::Text(None) => 1_000,
            Value::Missing | Value::Number(_) => 0,
            // Addresses for documentation are what people expect.
            Value::Address(address) if domain::USUAL_ADDRESSES.contains(address) => 0,
            Value::Address(_) => 4,
            Value::Assumed => 500,
        }
    }
}

/// Classes that come to the same as one, each with the shortest example; and the words for it, unless that is all there
/// are. `partial` when some were left out.
fn merged(classes: Vec<Class>, partial: bool) -> Vec<(Class, Option<String>)> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut by_rest: HashMap<&[ListId], usize> = HashMap::new();
    for (at, class) in classes.iter().enumerate() {
        let fresh = groups.len();
        // What was assumed of an expression is never the same, nor is what has tests left on the value.
        let group = match (class.source, &class.region) {
            (Some(_), None) => *by_rest.entry(&class.lists).or_insert(fresh),
            _ => fresh,
        };
        match groups.get_mut(group) {
            Some(group) => group.push(at),
            None => groups.push(vec![at]),
        }
    }
    let words: Vec<Option<String>> = groups
        .iter()
        .map(|group| {
            // Saying what a large class is not takes as long as there are others.
            let inside: Vec<&Part> = group.iter().filter_map(|at| classes.get(*at)).map(|class| &class.part).collect();
            let outside: Vec<&Part> = if inside.len() == classes.len() && !partial {
                Vec::new()
            } else if partial || (groups.len() > 64 && !inside.contains(&&Part::Other)) {
                vec![&Part::Other]
            } else {
                let others = classes.iter().enumerate().filter(|(at, _)| group.binary_search(at).is_err());
                others.map(|(_, class)| &class.part).collect()
            };
            part::words(&inside, &outside)
        })
        .collect();
    let best: Vec<Option<usize>> = groups
        .iter()
        .map(|group| group.iter().copied().min_by_key(|at| classes.get(*at).map(|class| class.value.cost())))
        .collect();
    let mut classes: Vec<Option<Class>> = classes.into_iter().map(Some).collect();
    best.into_iter().zip(words).filter_map(|(at, words)| Some((classes.get_mut(at?)?.take()?, words))).collect()
}

impl Search<'_, '_, '_> {
    /// Puts what could pass in place of lists of which nothing is asked any more.
    fn sum_up(&mut self, lists: &mut [ListId]) {
        let Some((places, is_asked)) = self.question.rest else { return };
        for place in places {
            let Some(list) = lists.get_mut(*place) else { continue };
            if let Some(known) = self.rests.get(list) {
                *list = *known;
                continue;
            }
            let here = self.space.get(*list);
            if here.sources.iter().any(|source| is_asked(self.space.formulas.source_of(*source))) {
                continue;
            }
            self.space.steps += here.entries.len() as u64;
            let leaf = possible(self.space.formulas, &here.entries);
            let rest = self.space.list(Mode::First, leaf.passes().then_some((Formulas::TRUE, leaf)));
            self.rests.insert(*list, rest);
            *list = rest;
        }
    }

    fn go(&mut self, mut state: State, depth: usize) -> Rc<Summary> {
        self.sum_up(&mut state.lists);
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
            open.iter().take(1).for_each(|list| self.space.give_up(*list));
            return Rc::new(Summary { found: Vec::new(), open: true });
        }
        let focus = open.first().copied().into_iter().collect::<Vec<_>>();
        let region = |source: SourceId| {
            state.regions.iter().find(|(known, _)| *known == source).map(|(_, region)| region.clone())
        };
        let must = self.question.first_must_answer && state.lists.first() == focus.first();
        let is_asked = |source: &Source| self.question.rest.as_ref().is_none_or(|(_, is_asked)| is_asked(source));
        let source = split::choose(self.space, &state.lists, &focus, &is_asked);
        let (mut classes, left) = split::split(self.space, &state.lists, &focus, source, must, &region);
        classes.iter_mut().for_each(|class| self.sum_up(&mut class.lists));
        let mut found: HashMap<Outcome, Vec<Way>> = HashMap::new();
        let mut order: Vec<Outcome> = Vec::new();
        let mut gave_up = left == Left::Unknown;
        if gave_up {
            focus.iter().for_each(|list| self.space.give_up(*list));
        }
        for (class, words) in merged(classes, left != Left::Nothing) {
            let mut regions = state.regions.clone();
            if let Some(source) = class.source {
                regions.retain(|(known, _)| *known != source);
                if let Some(region) = class.region {
                    regions.push((source, region));
                    regions.sort_unstable_by_key(|(source, _)| *source);
                }
            }
            // Where every value comes to the same, none need be named.
            let choice = match (words, class.source) {
                (None, Some(_)) => None,
                (words, source) => {
                    Some(Rc::new(Choice { source, value: class.value, words: words.unwrap_or_default() }))
                }
            };
            let cost = choice.as_ref().map_or(0, |choice| choice.value.cost());
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
                    mine.push(match &choice {
                        Some(choice) => {
                            Some(Rc::new(Path { choice: Rc::clone(choice), cost: total, rest: way.clone() }))
                        }
                        None => way.clone(),
                    });
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
