//! The decision graph: ordered formulas with their answers become look-ups, value by value.
//!
//! A list of entries is settled by choosing one value and one way of looking at it, splitting its range into classes, and
//! going on with what is left of the list in each class; equal rests are built once. Two things keep this linear in the
//! size of the policy. Entries that a look-up cannot narrow down would be copied into each of its classes; where that
//! costs too much they are asked beside it, and the answer that comes first in evaluation order counts. And what is not a
//! test of one value, or needs too large an automaton, stays a formula in an ordered list.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{Ipv4Addr, Ipv6Addr};

use outcall_schema::artifact::item::{Child, NO_LEAF};
use outcall_schema::artifact::writer::{Automaton, Source, StrCases};
use outcall_schema::field::Field;

use super::formula::{Atom, AtomId, Dimension, Formula, Formulas, Look, SourceId, Test};
use super::pattern;
use super::range;

/// More patterns than this are not put in one automaton: building it costs more than asking two beside each other.
const PATTERNS_TOGETHER: usize = 64;

/// More patterns than this that are found anywhere in a string are not put in one automaton, which doubles with each.
const LOOSE_TOGETHER: usize = 4;

/// A condition and the answer that it gives.
pub type Entry = (Formula, Child);

/// Whether the first true entry answers, or all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The first true entry in evaluation order.
    First,
    /// All true entries.
    All,
}

/// Where the graph goes: written to an artifact, or only summed up.
pub trait Sink {
    /// What stands for a part of the graph.
    type Out: Clone;

    /// An answer.
    fn leaf(&mut self, leaf: Child) -> Self::Out;
    /// Several answers that all apply.
    fn set(&mut self, leaves: &[Child]) -> Self::Out;
    /// Strings by table.
    fn strings(
        &mut self,
        source: &Source,
        missing: Self::Out,
        otherwise: Self::Out,
        cases: Cases<Self::Out>,
    ) -> Self::Out;
    /// Strings by automaton.
    fn scan(
        &mut self,
        source: &Source,
        missing: Self::Out,
        automaton: &Automaton,
        children: Vec<Self::Out>,
    ) -> Self::Out;
    /// Integers by bounds.
    fn integers(&mut self, source: &Source, unknown: Self::Out, bounds: &[i64], children: Vec<Self::Out>) -> Self::Out;
    /// Addresses by bounds.
    fn addresses(
        &mut self,
        source: &Source,
        unknown: Self::Out,
        v4: (&[Ipv4Addr], Vec<Self::Out>),
        v6: (&[Ipv6Addr], Vec<Self::Out>),
    ) -> Self::Out;
    /// Parts beside each other.
    fn parallel(&mut self, parts: Vec<Self::Out>) -> Self::Out;
    /// An ordered list of formulas.
    fn list(&mut self, formulas: &Formulas, entries: &[Entry]) -> Self::Out;
    /// Whether the rest of these entries is to be settled elsewhere, and its answer.
    fn cut(&mut self, formulas: &mut Formulas, entries: &[Entry]) -> Option<Self::Out> {
        let _ = (formulas, entries);
        None
    }
}

/// The cases of a string, each with what follows.
#[derive(Debug)]
pub struct Cases<O> {
    /// Whole strings.
    pub exact: Vec<(String, O)>,
    /// Suffixes, for one more label and for several.
    pub labels: Vec<(String, O, O)>,
    /// Prefixes.
    pub prefixes: Vec<(String, O)>,
}

impl Cases<Child> {
    /// In the form of the artifact.
    pub fn into_artifact(self) -> StrCases {
        StrCases { exact: self.exact, labels: self.labels, prefixes: self.prefixes }
    }
}

/// What building took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stats {
    /// Look-ups built.
    pub nodes: usize,
    /// Classes over all look-ups.
    pub classes: usize,
    /// Times that entries were asked beside a look-up instead of being copied into it.
    pub parallels: usize,
    /// Entries that stayed formulas in lists.
    pub listed: usize,
}

/// Builds graphs.
pub struct Builder<'a, S: Sink> {
    /// The formulas entries refer to.
    pub formulas: &'a mut Formulas,
    /// Where the graph goes.
    pub sink: S,
    /// What building took.
    pub stats: Stats,
    mode: Mode,
    /// In which order values become known: looked at early to late.
    stage: Box<dyn Fn(&Source) -> u8 + 'a>,
    known: HashMap<Vec<Entry>, S::Out>,
    defaults: HashMap<(Formula, Dimension), Formula>,
    /// How many copies of entries may still be made; then only what narrows down is looked up.
    budget: usize,
}

/// How a dimension would do on a list.
struct Plan {
    dimension: Dimension,
    /// Entries that the look-up narrows down, by their place in the list.
    guarded: Vec<usize>,
    cost: usize,
}

impl<'a, S: Sink> Builder<'a, S> {
    /// A builder for lists of about `entries` entries.
    pub fn new(
        formulas: &'a mut Formulas,
        sink: S,
        mode: Mode,
        entries: usize,
        stage: impl Fn(&Source) -> u8 + 'a,
    ) -> Builder<'a, S> {
        Builder {
            formulas,
            sink,
            stats: Stats::default(),
            mode,
            stage: Box::new(stage),
            known: HashMap::new(),
            defaults: HashMap::new(),
            // An ordinary rule is copied a handful of times; 64 a rule leaves room for small policies of any shape.
            budget: 100_000 + 64 * entries,
        }
    }

    /// Builds the graph for entries in evaluation order.
    pub fn build(&mut self, entries: Vec<Entry>) -> S::Out {
        let mut kept: Vec<Entry> = Vec::with_capacity(entries.len());
        for (formula, leaf) in entries {
            if formula == Formulas::FALSE {
                continue;
            }
            kept.push((formula, leaf));
            if formula == Formulas::TRUE && self.mode == Mode::First {
                break;
            }
        }
        match (self.mode, kept.first()) {
            (_, None) => return self.sink.leaf(NO_LEAF),
            (Mode::First, Some((Formulas::TRUE, leaf))) => return self.sink.leaf(*leaf),
            (Mode::All, _) if kept.iter().all(|(formula, _)| *formula == Formulas::TRUE) => {
                let leaves: Vec<Child> = kept.iter().map(|(_, leaf)| *leaf).collect();
                return self.sink.set(&leaves);
            }
            _ => {}
        }
        if let Some(known) = self.known.get(&kept) {
            return known.clone();
        }
        let built = match self.sink.cut(self.formulas, &kept) {
            Some(built) => built,
            None => self.split(&kept),
        };
        self.known.insert(kept, built.clone());
        built
    }

    fn split(&mut self, entries: &[Entry]) -> S::Out {
        let plans = self.plans(entries);
        // Four copies of an entry buy about one look-up less per decision; more was not worth its size when tried.
        let limit = if self.budget == 0 { 2 * entries.len() } else { 512 + 4 * entries.len() };
        if let Some(plan) = plans.iter().min_by_key(|plan| plan.cost)
            && plan.cost <= limit
            && let Some(built) = self.look(entries, plan.dimension)
        {
            self.budget = self.budget.saturating_sub(plan.cost);
            return built;
        }
        // Too much would be copied: look up what can be narrowed down, and ask the rest beside it.
        if let Some(plan) = plans.iter().max_by_key(|plan| plan.guarded.len())
            && !plan.guarded.is_empty()
        {
            let guarded: BTreeSet<usize> = plan.guarded.iter().copied().collect();
            let (inside, outside): (Vec<_>, Vec<_>) =
                entries.iter().copied().enumerate().partition(|(at, _)| guarded.contains(at));
            let inside: Vec<Entry> = inside.into_iter().map(|(_, entry)| entry).collect();
            let outside: Vec<Entry> = outside.into_iter().map(|(_, entry)| entry).collect();
            if !outside.is_empty() {
                return self.beside(inside, outside);
            }
            if let Some(built) = self.look(&inside, plan.dimension) {
                return built;
            }
        }
        // Nothing narrows these down as they are; their alternatives by themselves may.
        let alternatives: Vec<Entry> = entries
            .iter()
            .flat_map(|(formula, leaf)| match self.formulas.kind(*formula) {
                super::formula::Node::Or(operands) => operands.iter().map(|operand| (*operand, *leaf)).collect(),
                _ => vec![(*formula, *leaf)],
            })
            .collect();
        if alternatives.len() > entries.len() {
            return self.build(alternatives);
        }
        // The automaton of all patterns together may be too large where those of a half are not.
        let scannable = plans.iter().any(|plan| plan.dimension.look == Look::Scan);
        if scannable && entries.len() > 1 {
            let (left, right) = entries.split_at(entries.len() / 2);
            return self.beside(left.to_vec(), right.to_vec());
        }
        self.stats.listed += entries.len();
        self.sink.list(self.formulas, entries)
    }

    fn beside(&mut self, left: Vec<Entry>, right: Vec<Entry>) -> S::Out {
        self.stats.parallels += 1;
        let parts = vec![self.build(left), self.build(right)];
        self.sink.parallel(parts)
    }

    /// The ways of looking at the values that are known first, with their costs.
    fn plans(&mut self, entries: &[Entry]) -> Vec<Plan> {
        let mut dimensions: BTreeMap<Dimension, Vec<usize>> = BTreeMap::new();
        for (at, (formula, _)) in entries.iter().enumerate() {
            for dimension in self.formulas.dimensions(*formula).iter() {
                dimensions.entry(*dimension).or_default().push(at);
            }
        }
        let stage_of =
            |builder: &Self, dimension: &Dimension| (builder.stage)(builder.formulas.source_of(dimension.source));
        let first = dimensions.keys().map(|dimension| stage_of(self, dimension)).min();
        dimensions.retain(|dimension, _| Some(stage_of(self, dimension)) == first);
        // Where one value is looked at in both ways, the table comes first: at its exact cases patterns are settled too.
        dimensions.into_iter().map(|(dimension, mentions)| self.plan(entries, dimension, &mentions)).collect()
    }

    fn plan(&mut self, entries: &[Entry], dimension: Dimension, mentions: &[usize]) -> Plan {
        let mut guarded = Vec::new();
        let mut atoms: BTreeSet<AtomId> = BTreeSet::new();
        let mut sizes = Vec::new();
        for at in mentions {
            let Some((formula, _)) = entries.get(*at) else { continue };
            let mut mine = BTreeSet::new();
            self.formulas.atoms(*formula, &mut mine);
            mine.retain(|atom| self.formulas.atom(*atom).dimension == Some(dimension));
            if self.default_of(*formula, dimension) == Formulas::FALSE {
                guarded.push(*at);
                sizes.push(mine.iter().copied().collect::<Vec<_>>());
            }
            atoms.extend(mine);
        }
        let extent = Extent::of(self.formulas, &atoms, dimension.look);
        let loose = entries.len() - guarded.len();
        let covered: Vec<usize> =
            sizes.iter().map(|mine| mine.iter().map(|atom| extent.covers(self.formulas.atom(*atom))).sum()).collect();
        let cost = extent.classes * loose + covered.iter().sum::<usize>();
        // An entry that would go into very many classes is better asked beside the look-up.
        let wide = 64 + 16 * entries.len() / guarded.len().max(1);
        let guarded = guarded.into_iter().zip(covered).filter(|(_, covered)| *covered <= wide).map(|(at, _)| at);
        Plan { dimension, guarded: guarded.collect(), cost }
    }

    /// The formula for a value in none of a dimension's cases.
    fn default_of(&mut self, formula: Formula, dimension: Dimension) -> Formula {
        if let Some(known) = self.defaults.get(&(formula, dimension)) {
            return *known;
        }
        let default = self.formulas.settle(
            formula,
            &mut |atom, wanted| {
                (atom.dimension == Some(dimension)).then_some(matches!(atom.test, Test::Present) == wanted)
            },
            &mut HashMap::new(),
        );
        self.defaults.insert((formula, dimension), default);
        default
    }

    fn look(&mut self, entries: &[Entry], dimension: Dimension) -> Option<S::Out> {
        let built = match dimension.look {
            Look::Table => self.table(entries, dimension),
            Look::Scan => self.scan(entries, dimension)?,
            Look::Ints => self.integers(entries, dimension),
            Look::Addresses => self.addresses(entries, dimension),
        };
        self.stats.nodes += 1;
        Some(built)
    }

    /// What is left of all entries once the tests on one value are settled.
    fn rest(&mut self, entries: &[Entry], settle: &mut dyn FnMut(&Atom, bool) -> Option<bool>) -> Vec<Entry> {
        let mut known = HashMap::new();
        entries.iter().map(|(formula, leaf)| (self.formulas.settle(*formula, settle, &mut known), *leaf)).collect()
    }

    /// What is left where the value is missing, null or unknown.
    fn missing(&mut self, entries: &[Entry], source: SourceId) -> S::Out {
        let is_body = self.formulas.source_of(source).field == Field::HttpBody;
        let rest = self.rest(entries, &mut |atom, wanted| {
            (atom.source == Some(source)).then_some(match atom.test {
                Test::Present => !wanted,
                // Null equals no string.
                Test::Equals(_) if is_body => !wanted,
                _ => false,
            })
        });
        self.build(rest)
    }

    fn table(&mut self, entries: &[Entry], dimension: Dimension) -> S::Out {
        let source_id = dimension.source;
        let source = self.formulas.source_of(source_id).clone();
        let index = Index::new(self.formulas, entries, source_id);
        self.stats.classes += index.exact.len() + 2 * index.labels.len() + index.prefixes.len() + 2;
        let defaults = self.rest(entries, &mut |atom, wanted| {
            (atom.dimension == Some(dimension)).then_some(matches!(atom.test, Test::Present) == wanted)
        });
        let standing: Vec<usize> = defaults
            .iter()
            .enumerate()
            .filter(|(_, (formula, _))| *formula != Formulas::FALSE)
            .map(|(at, _)| at)
            .collect();
        let missing = self.missing(entries, source_id);
        let mut cases = Cases { exact: Vec::new(), labels: Vec::new(), prefixes: Vec::new() };

        for text in index.exact.keys() {
            let mut touched: BTreeSet<usize> = index.exact.get(text).into_iter().flatten().copied().collect();
            index.touched_by_text(text, &mut touched);
            let rest = self.merge(entries, &defaults, &standing, &touched, &mut |atom, wanted| {
                (atom.source == Some(source_id)).then(|| pattern::is_true(&atom.test, text) == wanted)
            });
            cases.exact.push((text.clone(), self.build(rest)));
        }
        for suffix in index.labels.keys() {
            let mut touched: BTreeSet<usize> = index.labels.get(suffix).into_iter().flatten().copied().collect();
            index.touched_by_suffix(suffix, &mut touched);
            let [one, several] = [false, true].map(|more| {
                let rest = self.merge(entries, &defaults, &standing, &touched, &mut |atom, wanted| {
                    (atom.dimension == Some(dimension)).then(|| {
                        let truth = match &atom.test {
                            Test::Present => true,
                            Test::Under { suffix: wider, several: false } => !more && wider == suffix,
                            Test::Under { suffix: wider, several: true } => {
                                suffix == wider
                                    || suffix.strip_suffix(wider.as_str()).is_some_and(|rest| rest.ends_with('.'))
                            }
                            _ => false,
                        };
                        truth == wanted
                    })
                });
                self.build(rest)
            });
            cases.labels.push((suffix.clone(), one, several));
        }
        for prefix in index.prefixes.keys() {
            let mut touched = BTreeSet::new();
            index.touched_by_prefix(prefix, &mut touched);
            let rest = self.merge(entries, &defaults, &standing, &touched, &mut |atom, wanted| {
                (atom.dimension == Some(dimension)).then(|| {
                    let truth = match &atom.test {
                        Test::Present => true,
                        Test::Prefix(shorter) => prefix.starts_with(shorter.as_str()),
                        _ => false,
                    };
                    truth == wanted
                })
            });
            cases.prefixes.push((prefix.clone(), self.build(rest)));
        }
        let otherwise = self.build(defaults);
        self.sink.strings(&source, missing, otherwise, cases)
    }

    /// The entries that stand by default, with those in `touched` settled anew instead.
    fn merge(
        &mut self,
        entries: &[Entry],
        defaults: &[Entry],
        standing: &[usize],
        touched: &BTreeSet<usize>,
        settle: &mut dyn FnMut(&Atom, bool) -> Option<bool>,
    ) -> Vec<Entry> {
        let mut places: Vec<usize> = standing.iter().copied().chain(touched.iter().copied()).collect();
        places.sort_unstable();
        places.dedup();
        let mut known = HashMap::new();
        let mut rest = Vec::with_capacity(places.len());
        for at in places {
            let entry = if touched.contains(&at) {
                let Some((formula, leaf)) = entries.get(at) else { continue };
                let formula = self.formulas.settle(*formula, settle, &mut known);
                (formula, *leaf)
            } else {
                let Some(entry) = defaults.get(at) else { continue };
                *entry
            };
            if entry.0 == Formulas::FALSE {
                continue;
            }
            rest.push(entry);
            if entry.0 == Formulas::TRUE && self.mode == Mode::First {
                break;
            }
        }
        rest
    }

    fn scan(&mut self, entries: &[Entry], dimension: Dimension) -> Option<S::Out> {
        let mut atoms = BTreeSet::new();
        entries.iter().for_each(|(formula, _)| self.formulas.atoms(*formula, &mut atoms));
        atoms.retain(|atom| self.formulas.atom(*atom).dimension == Some(dimension));
        if atoms.len() > PATTERNS_TOGETHER {
            return None;
        }
        let tests: Vec<Test> = atoms.iter().map(|atom| self.formulas.atom(*atom).test.clone()).collect();
        if tests.iter().filter(|test| pattern::is_loose(test)).count() > LOOSE_TOGETHER {
            return None;
        }
        let classes = self.formulas.automata.joint(&atoms.into_iter().collect::<Vec<_>>(), &tests)?;
        let source = self.formulas.source_of(dimension.source).clone();
        let missing = self.missing(entries, dimension.source);
        let mut children = Vec::with_capacity(classes.sets.len());
        for set in &classes.sets {
            let rest = self.rest(entries, &mut |atom, wanted| {
                if atom.source == Some(dimension.source) && matches!(atom.test, Test::Present) {
                    return Some(wanted);
                }
                let number = tests.iter().position(|test| atom.dimension == Some(dimension) && *test == atom.test)?;
                Some(set.contains(&number) == wanted)
            });
            children.push(self.build(rest));
        }
        self.stats.classes += children.len();
        Some(self.sink.scan(&source, missing, &classes.automaton, children))
    }

    fn integers(&mut self, entries: &[Entry], dimension: Dimension) -> S::Out {
        let source = self.formulas.source_of(dimension.source).clone();
        let (touching, bounds) = self.intervals(entries, dimension, i64::MIN, |test| match test {
            Test::Ints(ranges) => ranges.clone(),
            _ => Vec::new(),
        });
        let unknown = self.missing(entries, dimension.source);
        let children = self.by_bounds(entries, dimension, &touching, bounds.len() + 1, |class, test| {
            let value = class.checked_sub(1).and_then(|at| bounds.get(at)).copied().unwrap_or(i64::MIN);
            test.of_int(value).unwrap_or(false)
        });
        self.sink.integers(&source, unknown, &bounds, children)
    }

    fn addresses(&mut self, entries: &[Entry], dimension: Dimension) -> S::Out {
        let source = self.formulas.source_of(dimension.source).clone();
        let (touching4, bounds4) = self.intervals(entries, dimension, 0, |test| match test {
            Test::Addresses { v4, .. } => v4.clone(),
            _ => Vec::new(),
        });
        let (touching6, bounds6) = self.intervals(entries, dimension, 0, |test| match test {
            Test::Addresses { v6, .. } => v6.clone(),
            _ => Vec::new(),
        });
        let unknown = self.missing(entries, dimension.source);
        let children4 = self.by_bounds(entries, dimension, &touching4, bounds4.len() + 1, |class, test| {
            let value = class.checked_sub(1).and_then(|at| bounds4.get(at)).copied().unwrap_or(0);
            matches!(test, Test::Addresses { v4, .. } if range::contains(v4, value))
        });
        let children6 = self.by_bounds(entries, dimension, &touching6, bounds6.len() + 1, |class, test| {
            let value = class.checked_sub(1).and_then(|at| bounds6.get(at)).copied().unwrap_or(0);
            matches!(test, Test::Addresses { v6, .. } if range::contains(v6, value))
        });
        let bounds4: Vec<Ipv4Addr> = bounds4.into_iter().map(Ipv4Addr::from_bits).collect();
        let bounds6: Vec<Ipv6Addr> = bounds6.into_iter().map(Ipv6Addr::from_bits).collect();
        self.sink.addresses(&source, unknown, (&bounds4, children4), (&bounds6, children6))
    }

    /// The bounds of all ranges tested, and for each class the entries with a range that covers it.
    fn intervals<N: range::Step>(
        &self,
        entries: &[Entry],
        dimension: Dimension,
        lowest: N,
        ranges: impl Fn(&Test) -> Vec<(N, N)>,
    ) -> (Vec<Vec<usize>>, Vec<N>) {
        let mut mine: Vec<(usize, Vec<(N, N)>)> = Vec::new();
        for (at, (formula, _)) in entries.iter().enumerate() {
            let mut atoms = BTreeSet::new();
            self.formulas.atoms(*formula, &mut atoms);
            let all = atoms.iter().map(|atom| self.formulas.atom(*atom));
            let tested: Vec<(N, N)> =
                all.filter(|atom| atom.dimension == Some(dimension)).flat_map(|atom| ranges(&atom.test)).collect();
            mine.push((at, range::normalise(tested)));
        }
        // The bounds of single ranges matter, not those of their union, so collect them before joining.
        let mut single: Vec<(N, N)> = Vec::new();
        let mut atoms = BTreeSet::new();
        entries.iter().for_each(|(formula, _)| self.formulas.atoms(*formula, &mut atoms));
        for atom in atoms.iter().map(|atom| self.formulas.atom(*atom)).filter(|atom| atom.dimension == Some(dimension))
        {
            single.extend(ranges(&atom.test));
        }
        let bounds = range::bounds(single.into_iter(), lowest);
        let mut touching = vec![Vec::new(); bounds.len() + 1];
        for (at, ranges) in mine {
            for (low, high) in ranges {
                let first = bounds.partition_point(|bound| *bound <= low);
                let last = bounds.partition_point(|bound| *bound <= high);
                for class in touching.iter_mut().take(last + 1).skip(first) {
                    class.push(at);
                }
            }
        }
        (touching, bounds)
    }

    fn by_bounds(
        &mut self,
        entries: &[Entry],
        dimension: Dimension,
        touching: &[Vec<usize>],
        classes: usize,
        truth: impl Fn(usize, &Test) -> bool,
    ) -> Vec<S::Out> {
        self.stats.classes += classes;
        let defaults = self.rest(entries, &mut |atom, wanted| (atom.dimension == Some(dimension)).then_some(!wanted));
        let standing: Vec<usize> = defaults
            .iter()
            .enumerate()
            .filter(|(_, (formula, _))| *formula != Formulas::FALSE)
            .map(|(at, _)| at)
            .collect();
        touching
            .iter()
            .enumerate()
            .map(|(class, touched)| {
                let touched: BTreeSet<usize> = touched.iter().copied().collect();
                let rest = self.merge(entries, &defaults, &standing, &touched, &mut |atom, wanted| {
                    (atom.dimension == Some(dimension)).then(|| truth(class, &atom.test) == wanted)
                });
                self.build(rest)
            })
            .collect()
    }
}

/// Which entries mention which case of a string.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) exact: BTreeMap<String, Vec<usize>>,
    pub(crate) labels: BTreeMap<String, Vec<usize>>,
    pub(crate) prefixes: BTreeMap<String, Vec<usize>>,
    prefix_lengths: BTreeSet<usize>,
    /// Entries with tests that only an automaton settles, unless the whole string is known.
    pub(crate) others: Vec<usize>,
}

impl Index {
    pub(crate) fn new(formulas: &Formulas, entries: &[Entry], source: SourceId) -> Index {
        let mut index = Index {
            exact: BTreeMap::new(),
            labels: BTreeMap::new(),
            prefixes: BTreeMap::new(),
            prefix_lengths: BTreeSet::new(),
            others: Vec::new(),
        };
        for (at, (formula, _)) in entries.iter().enumerate() {
            let mut atoms = BTreeSet::new();
            formulas.atoms(*formula, &mut atoms);
            for atom in atoms.iter().map(|atom| formulas.atom(*atom)).filter(|atom| atom.source == Some(source)) {
                let scanned = atom.dimension.is_some_and(|dimension| dimension.look == Look::Scan);
                let add = |map: &mut BTreeMap<String, Vec<usize>>, text: &str| match map.get_mut(text) {
                    Some(places) => places.push(at),
                    None => drop(map.insert(text.to_owned(), vec![at])),
                };
                match &atom.test {
                    _ if scanned => index.others.push(at),
                    Test::Equals(values) => values.iter().for_each(|value| add(&mut index.exact, value)),
                    Test::Under { suffix, .. } => add(&mut index.labels, suffix),
                    Test::Prefix(prefix) => {
                        add(&mut index.prefixes, prefix);
                        index.prefix_lengths.insert(prefix.len());
                    }
                    _ => {}
                }
            }
        }
        index
    }

    pub(crate) fn touched_by_text(&self, text: &str, touched: &mut BTreeSet<usize>) {
        touched.extend(&self.others);
        self.touched_by_suffix(text, touched);
        self.touched_by_prefix(text, touched);
    }

    pub(crate) fn touched_by_suffix(&self, text: &str, touched: &mut BTreeSet<usize>) {
        if self.labels.is_empty() {
            return;
        }
        for (dot, _) in text.match_indices('.') {
            touched.extend(text.get(dot + 1..).and_then(|suffix| self.labels.get(suffix)).into_iter().flatten());
        }
    }

    pub(crate) fn touched_by_prefix(&self, text: &str, touched: &mut BTreeSet<usize>) {
        for len in self.prefix_lengths.range(..=text.len()) {
            touched.extend(text.get(..*len).and_then(|prefix| self.prefixes.get(prefix)).into_iter().flatten());
        }
    }
}

/// How many classes a set of tests makes, and how many of them a test covers.
enum Covered {
    /// Texts under each suffix or prefix.
    Texts(HashMap<String, usize>),
    Ints(Vec<i64>),
    Addresses(Vec<u32>, Vec<u128>),
    Patterns,
}

struct Extent {
    classes: usize,
    covered: Covered,
}

impl Extent {
    fn of(formulas: &Formulas, atoms: &BTreeSet<AtomId>, look: Look) -> Extent {
        let tests = || atoms.iter().map(|atom| &formulas.atom(*atom).test);
        match look {
            Look::Table => {
                let (mut exact, mut wide): (BTreeSet<&str>, HashMap<String, usize>) = (BTreeSet::new(), HashMap::new());
                let mut lengths = BTreeSet::new();
                for test in tests() {
                    match test {
                        Test::Equals(values) => exact.extend(values.iter().map(String::as_str)),
                        Test::Under { suffix, .. } => drop(wide.insert(suffix.clone(), 2)),
                        Test::Prefix(prefix) => {
                            lengths.insert(prefix.len());
                            wide.insert(prefix.clone(), 1);
                        }
                        _ => {}
                    }
                }
                let classes = exact.len() + 2 * wide.len() + 2;
                let texts: Vec<String> =
                    exact.iter().map(|text| (*text).to_owned()).chain(wide.keys().cloned()).collect();
                for text in texts {
                    let suffixes = text.match_indices('.').filter_map(|(dot, _)| text.get(dot + 1..));
                    let prefixes = lengths.range(..=text.len()).filter_map(|len| text.get(..*len));
                    for part in suffixes.chain(prefixes) {
                        if let Some(count) = wide.get_mut(part) {
                            *count += 1;
                        }
                    }
                }
                Extent { classes, covered: Covered::Texts(wide) }
            }
            Look::Scan => Extent { classes: atoms.len() + 1, covered: Covered::Patterns },
            Look::Ints => {
                let ranges = tests().flat_map(|test| match test {
                    Test::Ints(ranges) => ranges.as_slice(),
                    _ => &[],
                });
                let bounds = range::bounds(ranges.copied(), i64::MIN);
                Extent { classes: bounds.len() + 1, covered: Covered::Ints(bounds) }
            }
            Look::Addresses => {
                let (mut four, mut six) = (Vec::new(), Vec::new());
                for test in tests() {
                    if let Test::Addresses { v4, v6 } = test {
                        four.extend_from_slice(v4);
                        six.extend_from_slice(v6);
                    }
                }
                let (four, six) = (range::bounds(four.into_iter(), 0), range::bounds(six.into_iter(), 0));
                Extent { classes: four.len() + six.len() + 2, covered: Covered::Addresses(four, six) }
            }
        }
    }

    fn covers(&self, atom: &Atom) -> usize {
        fn span<N: Ord + Copy>(bounds: &[N], ranges: &[(N, N)]) -> usize {
            let place = |value: N| bounds.partition_point(|bound| *bound <= value);
            ranges.iter().map(|(low, high)| place(*high) - place(*low) + 1).sum()
        }
        match (&self.covered, &atom.test) {
            (Covered::Texts(_), Test::Equals(values)) => values.len(),
            (Covered::Texts(wide), Test::Under { suffix: text, .. } | Test::Prefix(text)) => {
                wide.get(text).copied().unwrap_or(1)
            }
            (Covered::Ints(bounds), Test::Ints(ranges)) => span(bounds, ranges),
            (Covered::Addresses(four, six), Test::Addresses { v4, v6 }) => span(four, v4) + span(six, v6),
            _ => 1,
        }
    }
}
