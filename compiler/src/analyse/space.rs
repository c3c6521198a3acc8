//! Ordered lists of formulas, each list once, and what a value of one source makes of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use outcall_schema::artifact::item::Child;
use outcall_schema::artifact::writer::Source;

use super::domain;
use super::words::{self, Word};
use crate::decide::build::{Entry, Index, Mode};
use crate::decide::formula::{Atom, AtomId, Formula, Formulas, Look, SourceId, Test};
use crate::decide::pattern;

/// The number of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ListId(u32);

/// What is known of a text that lies in none of the cases that were looked up: the tests, and how they came out.
pub(super) type Region = Rc<[(Test, bool)]>;

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
    defaults: Vec<Entry>,
    /// Which of them still stand.
    standing: Vec<usize>,
    pub(super) default_list: ListId,
}

/// A class of texts that an automaton tells from others.
#[derive(Debug)]
pub(super) struct Scanned {
    /// The tests that are true.
    pub(super) truths: BTreeSet<AtomId>,
    /// A text of the class, where one was found.
    pub(super) value: Option<String>,
}

/// What an automaton was built for: a source, its tests and the region, as text.
type Scan = (SourceId, Vec<AtomId>, Vec<String>);

/// Formulas, and what was found out about them.
pub(super) struct Space<'f> {
    pub(super) formulas: &'f mut Formulas,
    lists: Vec<Rc<List>>,
    numbers: HashMap<(bool, Vec<Entry>), ListId>,
    prepared: HashMap<(ListId, SourceId), Rc<Prepared>>,
    guards: HashMap<(Formula, SourceId), bool>,
    scanned: HashMap<Scan, Option<Rc<[Scanned]>>>,
    /// Formulas settled so far: the measure of work.
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
            scanned: HashMap::new(),
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
        let mut known = HashMap::new();
        let mut defaults = Vec::with_capacity(list.entries.len());
        for (formula, leaf) in &list.entries {
            self.steps += 1;
            let settled = self.formulas.settle(
                *formula,
                &mut |atom, wanted| is_table(atom, source).then_some(matches!(atom.test, Test::Present) == wanted),
                &mut known,
            );
            defaults.push((settled, *leaf));
        }
        let standing = (0..).zip(&defaults).filter(|(_, (formula, _))| *formula != Formulas::FALSE);
        let standing = standing.map(|(at, _)| at).collect();
        let default_list = self.list(list.mode, defaults.iter().copied());
        let prepared = Rc::new(Prepared { index, defaults, standing, default_list });
        self.prepared.insert((id, source), Rc::clone(&prepared));
        prepared
    }

    /// The list for a text of which `touched` entries say something: those are settled, the others stand as by default.
    pub(super) fn touched(
        &mut self,
        id: ListId,
        prepared: &Prepared,
        touched: &BTreeSet<usize>,
        settle: &mut dyn FnMut(&mut Formulas, Formula) -> Formula,
    ) -> ListId {
        if touched.is_empty() {
            return prepared.default_list;
        }
        let list = self.get(id);
        let mut places: Vec<usize> = prepared.standing.iter().copied().chain(touched.iter().copied()).collect();
        places.sort_unstable();
        places.dedup();
        let mut entries: Vec<Entry> = Vec::with_capacity(places.len());
        for at in places {
            self.steps += 1;
            let entry = if touched.contains(&at) {
                let Some((formula, leaf)) = list.entries.get(at) else { continue };
                (settle(self.formulas, *formula), *leaf)
            } else {
                let Some(entry) = prepared.defaults.get(at) else { continue };
                *entry
            };
            entries.push(entry);
            if entry.0 == Formulas::TRUE && list.mode == Mode::First {
                break;
            }
        }
        self.list(list.mode, entries)
    }

    /// The atoms on one source in these lists, by how they are looked at.
    pub(super) fn atoms_on(&self, lists: &[ListId], source: SourceId) -> BTreeSet<AtomId> {
        let mut atoms = BTreeSet::new();
        for id in lists {
            for (formula, _) in &self.get(*id).entries {
                if self.formulas.dimensions(*formula).iter().any(|dimension| dimension.source == source) {
                    self.formulas.atoms(*formula, &mut atoms);
                }
            }
        }
        atoms.retain(|atom| self.formulas.atom(*atom).source == Some(source));
        atoms
    }

    /// The classes that tests need an automaton for, within a region. `None` where the automaton would be too large.
    pub(super) fn scan(&mut self, source: SourceId, atoms: &[AtomId], region: &Region) -> Option<Rc<[Scanned]>> {
        let key = (source, atoms.to_vec(), region.iter().map(|part| format!("{part:?}")).collect());
        if let Some(known) = self.scanned.get(&key) {
            return known.clone();
        }
        let classes = self.classes(source, atoms, region).map(Rc::from);
        self.scanned.insert(key, classes.clone());
        classes
    }

    fn classes(&mut self, source: SourceId, atoms: &[AtomId], region: &Region) -> Option<Vec<Scanned>> {
        let place = self.source(source);
        let language = Test::Matches(domain::pattern(&place).to_owned());
        let mut tests: Vec<Test> = atoms.iter().map(|atom| self.formulas.atom(*atom).test.clone()).collect();
        let own = tests.len();
        // Equal tests would be one pattern twice; harmless, since each is told by its place.
        tests.push(language);
        // What is left out here is made up for by the check on words.
        let regional = region.iter().filter(|(test, _)| narrow(test)).take(64);
        let regional: Vec<(Test, bool)> = regional.cloned().collect();
        tests.extend(regional.iter().map(|(test, _)| test.clone()));
        let found = pattern::classes(&tests.iter().collect::<Vec<_>>())?;
        let mut classes = Vec::new();
        let usual = domain::usual(&place);
        for (number, set) in (0_u32..).zip(&found.sets) {
            let inside = set.contains(&own)
                && regional.iter().enumerate().all(|(at, (_, wanted))| set.contains(&(own + 1 + at)) == *wanted);
            if !inside {
                continue;
            }
            let truths: BTreeSet<AtomId> =
                set.iter().filter(|at| **at < own).filter_map(|at| atoms.get(*at)).copied().collect();
            let check = |text: &str| {
                domain::has(&place, text) && region.iter().all(|(test, wanted)| pattern::is_true(test, text) == *wanted)
            };
            let of_class = |text: &&&str| {
                let state = text.bytes().fold(found.automaton.start, |state, byte| {
                    let class = found.automaton.byte_classes.get(usize::from(byte)).copied().unwrap_or(0);
                    let at = state * found.automaton.classes + u32::from(class);
                    found.automaton.transitions.get(at as usize).copied().unwrap_or(0)
                });
                found.automaton.accept.get(state as usize) == Some(&number)
            };
            let value = match usual.iter().filter(of_class).find(|text| check(text)) {
                Some(text) => Some((**text).to_owned()),
                None => match words::shortest(&found.automaton, &|class| class == number, &check) {
                    Word::Found(text) => Some(text),
                    Word::None => continue,
                    Word::Unsure => None,
                },
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

/// Cases of several lists together.
pub(super) fn union<'p>(
    prepared: &'p [Rc<Prepared>],
    of: impl Fn(&'p Prepared) -> &'p BTreeMap<String, Vec<usize>>,
) -> BTreeSet<&'p str> {
    prepared.iter().flat_map(|prepared| of(prepared).keys().map(String::as_str)).collect()
}
