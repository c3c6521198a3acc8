//! Ordered lists of formulas, each list once, and what a value of one source makes of them.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use outcall_schema::artifact::item::Child;
use outcall_schema::artifact::writer::Source;

use super::cases::{Cases, Region};
use super::domain;
use super::joint::{Joint, Scanned};
use super::words::{self, Word};
use crate::decide::build::{Entry, Index, Mode};
use crate::decide::formula::{Atom, AtomId, Formula, Formulas, Look, SourceId, Test};
use crate::decide::pattern;

/// The number of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ListId(u32);

/// A list of formulas with answers.
#[derive(Debug)]
pub(super) struct List {
    pub(super) mode: Mode,
    pub(super) entries: Vec<Entry>,
    /// The values tested.
    pub(super) sources: Rc<[SourceId]>,
    /// The expressions that are no test of one value.
    pub(super) opaque: Rc<[AtomId]>,
}

impl List {
    /// The answers, once nothing is open.
    pub(super) fn constant(&self) -> Option<Vec<Child>> {
        match self.mode {
            Mode::First => match self.entries.first() {
                None => Some(Vec::new()),
                Some((Formulas::TRUE, leaf)) => Some(vec![*leaf]),
                Some(_) => None,
            },
            Mode::All => self
                .entries
                .iter()
                .all(|(formula, _)| *formula == Formulas::TRUE)
                .then(|| self.entries.iter().map(|(_, leaf)| *leaf).collect()),
        }
    }
}

/// A list as one source sees it.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) index: Index,
    /// The entries for a text in none of the cases.
    pub(super) open: Base,
    /// Those for which no test that needs an automaton is true, either.
    pub(super) closed: Base,
    /// The entries that mention a test which no table decides.
    pub(super) by_test: HashMap<AtomId, Vec<usize>>,
    /// Whole texts and suffixes backwards, so that those under a suffix stand together.
    backwards: OnceCell<[BTreeSet<String>; 2]>,
}

impl Prepared {
    /// The whole texts and the suffixes under a suffix.
    pub(super) fn under(&self, suffix: &str) -> [Vec<String>; 2] {
        let turned = |text: &str| text.chars().rev().collect::<String>();
        let sets = self.backwards.get_or_init(|| {
            [&self.index.exact, &self.index.labels].map(|map| map.keys().map(|text| turned(text)).collect())
        });
        let first = format!("{}.", turned(suffix));
        sets.each_ref().map(|set| {
            let here = set.range(first.clone()..).take_while(|text| text.starts_with(&first));
            here.map(|text| turned(text)).collect()
        })
    }

    /// The whole texts and the prefixes that begin with a prefix.
    pub(super) fn behind(&self, prefix: &str) -> [Vec<String>; 2] {
        [&self.index.exact, &self.index.prefixes].map(|map| {
            let here = map.range(prefix.to_owned()..).take_while(|(text, _)| text.starts_with(prefix));
            here.map(|(text, _)| text.clone()).collect()
        })
    }
}

/// What a list comes to where nothing is said of the text.
#[derive(Debug)]
pub(super) struct Base {
    entries: Vec<Entry>,
    /// Which of them still stand.
    standing: Vec<usize>,
    pub(super) list: ListId,
}

/// By source, how many entries of a list are false without it, and how many have tests on it.
type Guarded = BTreeMap<SourceId, (usize, usize)>;
/// The tests on one source in a list.
#[derive(Debug)]
pub(super) struct TestsOn {
    pub(super) atoms: BTreeSet<AtomId>,
    /// How they are decided.
    pub(super) looks: BTreeSet<Look>,
    /// Those that need an automaton.
    pub(super) scanned: Vec<AtomId>,
}

/// What an automaton was asked: a source, its tests, and where the text lies.
type Scan = (SourceId, Vec<AtomId>, Option<Region>);
/// What a table tells apart: its source, texts, suffixes and prefixes, and the tests that need an automaton.
type Table = (SourceId, [BTreeSet<String>; 3], Vec<AtomId>);

/// Formulas, and what was found out about them.
pub(super) struct Space<'f> {
    pub(super) formulas: &'f mut Formulas,
    lists: Vec<Rc<List>>,
    numbers: HashMap<(bool, Vec<Entry>), ListId>,
    prepared: HashMap<(ListId, SourceId), Rc<Prepared>>,
    guards: HashMap<(Formula, SourceId), bool>,
    guarded: HashMap<ListId, Rc<Guarded>>,
    tests_on: HashMap<(ListId, SourceId), Rc<TestsOn>>,
    joints: HashMap<(SourceId, Vec<AtomId>), Option<Rc<Joint>>>,
    scanned: HashMap<Scan, Option<Rc<[Scanned]>>>,
    tables: HashMap<Table, Rc<Cases>>,
    /// The leaves at which searches gave up, some of them.
    pub(super) given_up: BTreeSet<Child>,
    /// Formulas settled and states built so far: the measure of work.
    pub(super) steps: u64,
}

impl<'f> Space<'f> {
    pub(super) fn new(formulas: &'f mut Formulas) -> Space<'f> {
        Space {
            formulas,
            lists: Vec::new(),
            numbers: HashMap::new(),
            prepared: HashMap::new(),
            guards: HashMap::new(),
            guarded: HashMap::new(),
            tests_on: HashMap::new(),
            joints: HashMap::new(),
            scanned: HashMap::new(),
            tables: HashMap::new(),
            given_up: BTreeSet::new(),
            steps: 0,
        }
    }

    /// The list of these entries, in evaluation order.
    pub(super) fn list(&mut self, mode: Mode, entries: impl IntoIterator<Item = Entry>) -> ListId {
        let mut kept: Vec<Entry> = Vec::new();
        for (formula, leaf) in entries {
            if formula == Formulas::FALSE {
                continue;
            }
            kept.push((formula, leaf));
            if formula == Formulas::TRUE && mode == Mode::First {
                break;
            }
        }
        // What comes last and answers as nothing does is nothing.
        let key = (mode == Mode::First, kept);
        if let Some(known) = self.numbers.get(&key) {
            return *known;
        }
        let mut sources = BTreeSet::new();
        let mut atoms = BTreeSet::new();
        let mut opaque = BTreeSet::new();
        for (formula, _) in &key.1 {
            sources.extend(self.formulas.dimensions(*formula).iter().map(|dimension| dimension.source));
            self.formulas.atoms(*formula, &mut atoms);
        }
        for atom in atoms {
            if self.formulas.atom(atom).source.is_none() {
                opaque.insert(atom);
            }
        }
        let id = ListId(u32::try_from(self.lists.len()).unwrap_or(u32::MAX));
        self.lists.push(Rc::new(List {
            mode,
            entries: key.1.clone(),
            sources: sources.into_iter().collect(),
            opaque: opaque.into_iter().collect(),
        }));
        self.numbers.insert(key, id);
        id
    }

    #[expect(clippy::indexing_slicing, reason = "numbers are only made by `list`, and nothing is ever removed")]
    pub(super) fn get(&self, id: ListId) -> Rc<List> {
        Rc::clone(&self.lists[id.0 as usize])
    }

    pub(super) fn source(&self, id: SourceId) -> Source {
        self.formulas.source_of(id).clone()
    }

    /// Whether the formula is false wherever none of the source's tests is true.
    pub(super) fn guards(&mut self, formula: Formula, source: SourceId) -> bool {
        if let Some(known) = self.guards.get(&(formula, source)) {
            return *known;
        }
        let settled = self.formulas.settle(
            formula,
            &mut |atom, wanted| (atom.source == Some(source)).then_some(matches!(atom.test, Test::Present) == wanted),
            &mut HashMap::new(),
        );
        self.guards.insert((formula, source), settled == Formulas::FALSE);
        settled == Formulas::FALSE
    }

    /// By source, how many entries of a list it guards and how many have tests on it.
    pub(super) fn guarded(&mut self, id: ListId) -> Rc<Guarded> {
        if let Some(known) = self.guarded.get(&id) {
            return Rc::clone(known);
        }
        let mut counts = Guarded::new();
        for (formula, _) in &self.get(id).entries {
            let sources: BTreeSet<SourceId> =
                self.formulas.dimensions(*formula).iter().map(|dimension| dimension.source).collect();
            for source in sources {
                let guards = self.guards(*formula, source);
                let count = counts.entry(source).or_default();
                count.0 += usize::from(guards);
                count.1 += 1;
            }
        }
        let counts = Rc::new(counts);
        self.guarded.insert(id, Rc::clone(&counts));
        counts
    }

    /// Remembers where a search gave up: at the first rule that was left.
    pub(super) fn give_up(&mut self, list: ListId) {
        if self.given_up.len() < 64 {
            let leaf = self.get(list).entries.first().map(|(_, leaf)| *leaf);
            self.given_up.extend(leaf);
        }
    }

    /// The list with the tests of one source settled.
    pub(super) fn settled(&mut self, id: ListId, settle: &mut dyn FnMut(&Atom, bool) -> Option<bool>) -> ListId {
        let list = self.get(id);
        let mut known = HashMap::new();
        let mut entries = Vec::with_capacity(list.entries.len());
        for (formula, leaf) in &list.entries {
            self.steps += 1;
            entries.push((self.formulas.settle(*formula, settle, &mut known), *leaf));
        }
        self.list(list.mode, entries)
    }

    /// The list as the tables of one source see it.
    pub(super) fn prepare(&mut self, id: ListId, source: SourceId) -> Rc<Prepared> {
        if let Some(known) = self.prepared.get(&(id, source)) {
            return Rc::clone(known);
        }
        let list = self.get(id);
        let index = Index::new(self.formulas, &list.entries, source);
        let present = |atom: &Atom| matches!(atom.test, Test::Present);
        let open = self.base(&list, &mut |atom, wanted| is_table(atom, source).then_some(present(atom) == wanted));
        let closed =
            self.base(&list, &mut |atom, wanted| (atom.source == Some(source)).then_some(present(atom) == wanted));
        let mut by_test: HashMap<AtomId, Vec<usize>> = HashMap::new();
        for (at, (formula, _)) in list.entries.iter().enumerate() {
            if self.formulas.dimensions(*formula).iter().any(|it| it.source == source && it.look != Look::Table) {
                let mut atoms = BTreeSet::new();
                self.formulas.atoms(*formula, &mut atoms);
                for atom in atoms {
                    let known = self.formulas.atom(atom);
                    if known.source == Some(source) && !is_table(known, source) {
                        by_test.entry(atom).or_default().push(at);
                    }
                }
            }
        }
        let prepared = Rc::new(Prepared { index, open, closed, by_test, backwards: OnceCell::new() });
        self.prepared.insert((id, source), Rc::clone(&prepared));
        prepared
    }

    fn base(&mut self, list: &List, settle: &mut dyn FnMut(&Atom, bool) -> Option<bool>) -> Base {
        let mut known = HashMap::new();
        let mut entries = Vec::with_capacity(list.entries.len());
        for (formula, leaf) in &list.entries {
            self.steps += 1;
            entries.push((self.formulas.settle(*formula, settle, &mut known), *leaf));
        }
        let standing = (0..).zip(&entries).filter(|(_, (formula, _))| *formula != Formulas::FALSE);
        let standing = standing.map(|(at, _)| at).collect();
        let list = self.list(list.mode, entries.iter().copied());
        Base { entries, standing, list }
    }

    /// The list for a text of which `touched` entries say something: those are settled, the others stand as in `base`.
    pub(super) fn touched(
        &mut self,
        id: ListId,
        base: &Base,
        touched: &BTreeSet<usize>,
        settle: &mut dyn FnMut(&mut Formulas, Formula) -> Formula,
    ) -> ListId {
        if touched.is_empty() {
            return base.list;
        }
        let list = self.get(id);
        let mut places: Vec<usize> = base.standing.iter().copied().chain(touched.iter().copied()).collect();
        places.sort_unstable();
        places.dedup();
        let mut entries: Vec<Entry> = Vec::with_capacity(places.len());
        for at in places {
            self.steps += 1;
            let entry = if touched.contains(&at) {
                let Some((formula, leaf)) = list.entries.get(at) else { continue };
                (settle(self.formulas, *formula), *leaf)
            } else {
                let Some(entry) = base.entries.get(at) else { continue };
                *entry
            };
            entries.push(entry);
            if entry.0 == Formulas::TRUE && list.mode == Mode::First {
                break;
            }
        }
        self.list(list.mode, entries)
    }

    /// The tests on one source in a list.
    pub(super) fn tests_on(&mut self, id: ListId, source: SourceId) -> Rc<TestsOn> {
        if let Some(known) = self.tests_on.get(&(id, source)) {
            return Rc::clone(known);
        }
        let mut atoms = BTreeSet::new();
        for (formula, _) in &self.get(id).entries {
            if self.formulas.dimensions(*formula).iter().any(|dimension| dimension.source == source) {
                self.formulas.atoms(*formula, &mut atoms);
            }
        }
        atoms.retain(|atom| self.formulas.atom(*atom).source == Some(source));
        let looks = atoms.iter().filter_map(|atom| Some(self.formulas.atom(*atom).dimension?.look)).collect();
        let scanned = atoms.iter().copied().filter(|atom| is_scanned(self.formulas.atom(*atom), source)).collect();
        let tests = Rc::new(TestsOn { atoms, looks, scanned });
        self.tests_on.insert((id, source), Rc::clone(&tests));
        tests
    }

    /// The automaton of these tests of a source; `None` where it would be too large.
    pub(super) fn joint(&mut self, source: SourceId, atoms: &[AtomId]) -> Option<Rc<Joint>> {
        let key = (source, atoms.to_vec());
        if let Some(known) = self.joints.get(&key) {
            return known.clone();
        }
        let tests: Vec<&Test> = atoms.iter().map(|atom| &self.formulas.atom(*atom).test).collect();
        let joint = Joint::new(self.formulas.source_of(source), atoms, &tests).map(Rc::new);
        self.steps += joint.as_ref().map_or(0, |joint| joint.states() as u64);
        self.joints.insert(key, joint.clone());
        joint
    }

    /// What a table tells apart, each such table once.
    pub(super) fn table(&mut self, source: SourceId, parts: [BTreeSet<String>; 3], scanned: Vec<AtomId>) -> Rc<Cases> {
        let key = (source, parts, scanned);
        if let Some(known) = self.tables.get(&key) {
            return Rc::clone(known);
        }
        let joint = if key.2.is_empty() { None } else { self.joint(source, &key.2) };
        let [texts, labels, prefixes] = key.1.clone();
        let place = self.source(source);
        let cases = Rc::new(Cases { number: self.tables.len(), place, texts, labels, prefixes, joint });
        self.tables.insert(key, Rc::clone(&cases));
        cases
    }

    /// The classes that tests need an automaton for, within a region. `None` where the automaton would be too large.
    pub(super) fn scan(
        &mut self,
        source: SourceId,
        atoms: &[AtomId],
        region: Option<&Region>,
    ) -> Option<Rc<[Scanned]>> {
        let key = (source, atoms.to_vec(), region.cloned());
        if let Some(known) = self.scanned.get(&key) {
            return known.clone();
        }
        let classes = self.classes(source, atoms, region).map(Rc::from);
        self.scanned.insert(key, classes.clone());
        classes
    }

    fn classes(&mut self, source: SourceId, atoms: &[AtomId], region: Option<&Region>) -> Option<Vec<Scanned>> {
        let joint = match region {
            Some(region) => region.cases.joint.clone()?,
            None => self.joint(source, atoms)?,
        };
        let place = self.source(source);
        self.steps += joint.states() as u64 / 16;
        let mut classes = joint.classes(&place, &atoms.iter().copied().collect(), region);
        if let Some(region) = region
            && classes.iter().any(|class| class.value.is_none())
            && let Some(exact) = self.in_region(source, atoms, region)
        {
            // What the cases of other texts leave nothing of.
            classes.retain(|class| class.value.is_some() || exact.iter().any(|other| other.truths == class.truths));
            for class in classes.iter_mut().filter(|class| class.value.is_none()) {
                class.value = exact.iter().find(|other| other.truths == class.truths).and_then(|it| it.value.clone());
            }
        }
        Some(classes)
    }

    /// Whether any text lies in a region; `None` where it cannot be told.
    pub(super) fn is_empty(&mut self, source: SourceId, region: &Region) -> Option<Result<String, ()>> {
        let classes = self.in_region(source, &[], region)?;
        match classes.as_slice() {
            [] => Some(Err(())),
            classes => classes.iter().find_map(|class| class.value.clone()).map(Ok),
        }
    }

    /// The classes in a region by an automaton made for it alone: where texts are so few that it takes one to see whether
    /// there are any.
    fn in_region(&mut self, source: SourceId, atoms: &[AtomId], region: &Region) -> Option<Vec<Scanned>> {
        let place = self.source(source);
        let language = Test::Matches(domain::pattern(&place).to_owned());
        let mut tests: Vec<Test> = atoms.iter().map(|atom| self.formulas.atom(*atom).test.clone()).collect();
        let own = tests.len();
        // Equal tests would be one pattern twice; harmless, since each is told by its place.
        tests.push(language);
        // What is left out here is made up for by the check on words.
        let regional: Vec<(Test, bool)> =
            region.tests().into_iter().filter(|(test, _)| narrow(test)).take(64).collect();
        tests.extend(regional.iter().map(|(test, _)| test.clone()));
        let found = pattern::classes(&tests.iter().collect::<Vec<_>>())?;
        self.steps += found.automaton.accept.len() as u64;
        let mut classes = Vec::new();
        for (number, set) in (0_u32..).zip(&found.sets) {
            let inside = set.contains(&own)
                && regional.iter().enumerate().all(|(at, (_, wanted))| set.contains(&(own + 1 + at)) == *wanted);
            if !inside {
                continue;
            }
            let truths: BTreeSet<AtomId> =
                set.iter().filter(|at| **at < own).filter_map(|at| atoms.get(*at)).copied().collect();
            let check = |text: &str| domain::has(&place, text) && region.has(text);
            let good: Vec<bool> = found.automaton.accept.iter().map(|class| *class == number).collect();
            let value = match words::shortest(&found.automaton, found.automaton.start, &good, &check) {
                Word::Found(text) => Some(text),
                Word::None => continue,
                Word::Unsure => None,
            };
            classes.push(Scanned { truths, value });
        }
        Some(classes)
    }
}

/// Regions are held to a size that an automaton bears.
fn narrow(test: &Test) -> bool {
    !matches!(test, Test::Equals(values) if values.len() > 64)
}

/// Whether a test is looked up in a table of the source.
pub(super) fn is_table(atom: &Atom, source: SourceId) -> bool {
    atom.source == Some(source) && atom.dimension.is_some_and(|dimension| dimension.look == Look::Table)
}

/// Whether a test on the source needs an automaton.
pub(super) fn is_scanned(atom: &Atom, source: SourceId) -> bool {
    atom.source == Some(source) && atom.dimension.is_some_and(|dimension| dimension.look == Look::Scan)
}
