//! One value split into the classes that some lists tell apart, and what is left of the lists in each.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;

use outcall_schema::artifact::writer::Source;

use super::cases::{Case, Cases, Region};
use super::domain;
use super::explore::Value;
use super::joint::Scanned;
use super::part::Part;
use super::space::{ListId, Prepared, Space, TestsOn, is_table};
use crate::decide::formula::{Atom, AtomId, Look, SourceId, Test};
use crate::decide::{pattern, range};

/// Where no automaton for all tests can be had, up to so many are assumed to come out either way.
const EITHER_WAY: usize = 8;

/// A class of values.
pub(super) struct Class {
    /// The value that was split; `None` for an expression that is no test of one value.
    pub(super) source: Option<SourceId>,
    /// An example.
    pub(super) value: Value,
    /// Which class.
    pub(super) part: Part,
    /// What is left of the lists.
    pub(super) lists: Vec<ListId>,
    /// What is known of the value, where tests on it are left.
    pub(super) region: Option<Region>,
}

/// What classes were left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// None.
    Nothing,
    /// Some in which the first list cannot answer.
    Silent,
    /// Some of which nothing could be found out.
    Unknown,
}

/// Splits a value; or an expression in `focus` that is no test of one value, where there is none. With `must`, classes in
/// which the first list cannot answer may be left out.
pub(super) fn split(
    space: &mut Space<'_>,
    lists: &[ListId],
    focus: &[ListId],
    source: Option<SourceId>,
    must: bool,
    region: &dyn Fn(SourceId) -> Option<Region>,
) -> (Vec<Class>, Left) {
    // One step a class and list at least, so that the caller's budget counts every split.
    space.steps += lists.len() as u64;
    let Some(source) = source else {
        return (assume(space, lists, focus), Left::Nothing);
    };
    let tests: Vec<Rc<TestsOn>> = lists.iter().map(|id| space.tests_on(*id, source)).collect();
    let look = |look: Look| tests.iter().any(|tests| tests.looks.contains(&look));
    let atoms = || tests.iter().flat_map(|tests| tests.atoms.iter().copied()).collect::<BTreeSet<AtomId>>();
    let classes = if look(Look::Ints) {
        numbers(space, lists, source, &atoms())
    } else if look(Look::Addresses) {
        addresses(space, lists, source, &atoms())
    } else if look(Look::Table) {
        let scanned: BTreeSet<AtomId> = tests.iter().flat_map(|tests| tests.scanned.iter().copied()).collect();
        return table(space, lists, source, scanned.into_iter().collect(), must);
    } else {
        let atoms: Vec<AtomId> = atoms().into_iter().collect();
        return scan(space, lists, source, &atoms, region(source));
    };
    (classes, Left::Nothing)
}

/// The value that narrows down most of the entries: of the first list in `focus`, unless that has but one and says nothing
/// of it.
pub(super) fn choose(
    space: &mut Space<'_>,
    lists: &[ListId],
    focus: &[ListId],
    is_asked: &dyn Fn(&Source) -> bool,
) -> Option<SourceId> {
    let first = space.guarded(*focus.first()?);
    let asked = first.iter().filter(|(source, _)| is_asked(space.formulas.source_of(**source)));
    let asked: Vec<(SourceId, (usize, usize))> = asked.map(|(source, count)| (*source, *count)).collect();
    if space.get(*focus.first()?).entries.len() > 1 {
        // Of equals the first.
        return asked.iter().rev().max_by_key(|(_, count)| *count).map(|(source, _)| *source);
    }
    // Among the values that one rule guards, that which tells most of the other lists.
    let others: Vec<_> = lists.iter().filter(|list| !focus.contains(list)).map(|list| space.guarded(*list)).collect();
    let told = |source: &SourceId| others.iter().map(|other| other.get(source).copied().unwrap_or_default()).max();
    asked.iter().rev().max_by_key(|(source, (guards, _))| (*guards, told(source))).map(|(source, _)| *source)
}

/// An expression that is no test of one value may come out any way.
fn assume(space: &mut Space<'_>, lists: &[ListId], focus: &[ListId]) -> Vec<Class> {
    let Some(atom) = focus.iter().find_map(|id| space.get(*id).opaque.first().copied()) else { return Vec::new() };
    let key = space.formulas.atom(atom).clone();
    [Some(true), Some(false), None]
        .into_iter()
        .map(|outcome| {
            let settle = &mut |other: &Atom, wanted: bool| {
                (other.source.is_none() && other.test == key.test).then_some(outcome == Some(wanted))
            };
            let lists = lists.iter().map(|id| space.settled(*id, settle)).collect();
            Class { source: None, value: Value::Assumed, part: Part::Assumed, lists, region: None }
        })
        .collect()
}

/// The class of requests in which the value is missing.
fn missing(space: &mut Space<'_>, lists: &[ListId], source: SourceId) -> Class {
    let is_body = space.source(source).field == outcall_schema::field::Field::HttpBody;
    let settle = &mut |atom: &Atom, wanted: bool| {
        (atom.source == Some(source)).then_some(match atom.test {
            Test::Present => !wanted,
            // Null equals no string.
            Test::Equals(_) if is_body => !wanted,
            _ => false,
        })
    };
    let lists = lists.iter().map(|id| space.settled(*id, settle)).collect();
    Class { source: Some(source), value: Value::Missing, part: Part::Missing, lists, region: None }
}

fn table(
    space: &mut Space<'_>,
    lists: &[ListId],
    source: SourceId,
    scanned: Vec<AtomId>,
    must: bool,
) -> (Vec<Class>, Left) {
    let place = space.source(source);
    let mut classes = Vec::new();
    if domain::can_be_missing(&place) {
        classes.push(missing(space, lists, source));
    }
    if !domain::can_be_present(&place) {
        return (classes, Left::Nothing);
    }
    let prepared: Vec<Rc<Prepared>> = lists.iter().map(|id| space.prepare(*id, source)).collect();
    // Where the first list says nothing of most texts, only those matter of which it does.
    let focused = prepared
        .first()
        .filter(|first| must && first.index.others.is_empty() && space.get(first.open.list).entries.is_empty());
    let cases = space.table(source, parts(&prepared, focused.map(Rc::as_ref)), scanned);
    let partial = focused.is_some();
    let table = Table { lists, prepared, source, cases: &cases };
    for text in cases.texts.iter().filter(|text| domain::has(&place, text)) {
        classes.push(table.text(space, text));
    }
    for suffix in &cases.labels {
        for several in [false, true] {
            let truth = |test: &Test| match test {
                Test::Under { suffix: wider, several: false } => !several && wider == suffix,
                Test::Under { suffix: wider, several: true } => {
                    suffix == wider || suffix.strip_suffix(wider.as_str()).is_some_and(|rest| rest.ends_with('.'))
                }
                _ => false,
            };
            let touch = |prepared: &Prepared, touched: &mut BTreeSet<usize>| {
                touched.extend(prepared.index.labels.get(suffix).into_iter().flatten());
                prepared.index.touched_by_suffix(suffix, touched);
            };
            classes.extend(table.case(space, Case::Under(suffix.clone(), several), &truth, &touch));
        }
    }
    for prefix in &cases.prefixes {
        let truth = |test: &Test| matches!(test, Test::Prefix(shorter) if prefix.starts_with(shorter.as_str()));
        let touch = |prepared: &Prepared, touched: &mut BTreeSet<usize>| {
            prepared.index.touched_by_prefix(prefix, touched);
        };
        classes.extend(table.case(space, Case::Prefix(prefix.clone()), &truth, &touch));
    }
    if partial {
        return (classes, Left::Silent);
    }
    classes.extend(table.case(space, Case::Other, &|_| false, &|_, _| {}));
    (classes, Left::Nothing)
}

/// The whole texts, suffixes and prefixes that lists tell apart; with `focused`, as far as that one says something of them.
fn parts(prepared: &[Rc<Prepared>], focused: Option<&Prepared>) -> [BTreeSet<String>; 3] {
    let of = |prepared: &Prepared| {
        let index = &prepared.index;
        [&index.exact, &index.labels, &index.prefixes].map(|map| map.keys().cloned().collect::<BTreeSet<String>>())
    };
    let add = |[texts, labels, prefixes]: [BTreeSet<String>; 3], all: &mut [BTreeSet<String>; 3]| {
        all[0].extend(texts);
        all[1].extend(labels);
        all[2].extend(prefixes);
    };
    let mut all = <[BTreeSet<String>; 3]>::default();
    let Some(focused) = focused else {
        prepared.iter().for_each(|prepared| add(of(prepared), &mut all));
        return all;
    };
    add(of(focused), &mut all);
    let [texts, labels, prefixes] = &mut all;
    for other in prepared {
        for suffix in focused.index.labels.keys() {
            let [more, longer] = other.under(suffix);
            texts.extend(more);
            labels.extend(longer);
        }
        for prefix in focused.index.prefixes.keys() {
            let [more, longer] = other.behind(prefix);
            texts.extend(more);
            prefixes.extend(longer);
        }
    }
    all
}

/// A table that lists are split by.
struct Table<'t> {
    lists: &'t [ListId],
    prepared: Vec<Rc<Prepared>>,
    source: SourceId,
    cases: &'t Rc<Cases>,
}

impl Table<'_> {
    /// The class of one text.
    fn text(&self, space: &mut Space<'_>, text: &str) -> Class {
        // With an automaton for them all, only rules whose patterns are true need a look.
        let truths = self.cases.joint.as_ref().and_then(|joint| joint.of_text(text));
        let mut known = HashMap::new();
        let rest = self.lists.iter().zip(&self.prepared).map(|(id, prepared)| {
            let mut touched: BTreeSet<usize> = prepared.index.exact.get(text).into_iter().flatten().copied().collect();
            prepared.index.touched_by_suffix(text, &mut touched);
            prepared.index.touched_by_prefix(text, &mut touched);
            match truths {
                Some(truths) => touched.extend(truths.iter().filter_map(|it| prepared.by_test.get(it)).flatten()),
                None => touched.extend(&prepared.index.others),
            }
            space.touched(*id, &prepared.closed, &touched, &mut |formulas, formula| {
                let settle = &mut |atom: &Atom, wanted| {
                    (atom.source == Some(self.source)).then(|| pattern::is_true(&atom.test, text) == wanted)
                };
                formulas.settle(formula, settle, &mut known)
            })
        });
        let lists = rest.collect();
        let (value, part) = (Value::Text(Some(text.to_owned())), Part::Text(text.to_owned()));
        Class { source: Some(self.source), value, part, lists, region: None }
    }

    /// The class of the texts in a case; `None` where there are none.
    fn case(
        &self,
        space: &mut Space<'_>,
        case: Case,
        truth: &dyn Fn(&Test) -> bool,
        touch: &dyn Fn(&Prepared, &mut BTreeSet<usize>),
    ) -> Option<Class> {
        let source = self.source;
        // Where patterns come out one way for all of the case, they are settled with the rest.
        let scanned: Option<BTreeSet<AtomId>> = match &self.cases.joint {
            Some(joint) if case != Case::Other => {
                let mut possible = joint.possible(&case).into_iter();
                possible.next().filter(|_| possible.next().is_none()).cloned()
            }
            _ => None,
        };
        let true_tests: Vec<Test> =
            scanned.iter().flatten().map(|atom| space.formulas.atom(*atom).test.clone()).collect();
        let mut known = HashMap::new();
        let rest: Vec<ListId> = self
            .lists
            .iter()
            .zip(&self.prepared)
            .map(|(id, prepared)| {
                let mut touched = BTreeSet::new();
                touch(prepared, &mut touched);
                touched.extend(scanned.iter().flatten().filter_map(|atom| prepared.by_test.get(atom)).flatten());
                let base = if scanned.is_some() { &prepared.closed } else { &prepared.open };
                space.touched(*id, base, &touched, &mut |formulas, formula| {
                    let settle = &mut |atom: &Atom, wanted| {
                        let present = matches!(atom.test, Test::Present);
                        if is_table(atom, source) {
                            Some((present || truth(&atom.test)) == wanted)
                        } else {
                            let scanned = scanned.is_some() && atom.source == Some(source);
                            scanned.then(|| (present || true_tests.contains(&atom.test)) == wanted)
                        }
                    };
                    formulas.settle(formula, settle, &mut known)
                })
            })
            .collect();
        let part = match &case {
            Case::Under(suffix, false) => Part::Texts(format!("one label under `{suffix}`")),
            Case::Under(suffix, true) => Part::Texts(format!("several labels under `{suffix}`")),
            Case::Prefix(prefix) => Part::Texts(format!("begins with `{prefix}`")),
            Case::Other => Part::Other,
        };
        let region = Region { cases: Rc::clone(self.cases), case };
        let value = match region.example() {
            Some(text) => Some(text),
            None => match space.is_empty(source, &region) {
                // No value lies here.
                Some(Err(())) => return None,
                Some(Ok(text)) => Some(text),
                None => None,
            },
        };
        let left = rest.iter().any(|id| space.get(*id).sources.contains(&source));
        Some(Class {
            source: Some(source),
            value: Value::Text(value),
            part,
            lists: rest,
            region: left.then_some(region),
        })
    }
}

fn scan(
    space: &mut Space<'_>,
    lists: &[ListId],
    source: SourceId,
    atoms: &[AtomId],
    region: Option<Region>,
) -> (Vec<Class>, Left) {
    let place = space.source(source);
    let mut classes = Vec::new();
    // A value with a region was looked up before, and is there.
    if domain::can_be_missing(&place) && region.is_none() {
        classes.push(missing(space, lists, source));
    }
    if !domain::can_be_present(&place) {
        return (classes, Left::Nothing);
    }
    let Some(together) = space.scan(source, atoms, region.as_ref()) else {
        // Too much for one automaton: one test, which may come out either way.
        let Some(first) = atoms.first().copied().filter(|_| atoms.len() <= EITHER_WAY) else {
            return (classes, Left::Unknown);
        };
        let test = space.formulas.atom(first).test.clone();
        for outcome in [true, false] {
            let settle = &mut |atom: &Atom, wanted: bool| {
                (atom.source == Some(source) && atom.test == test).then_some(wanted == outcome)
            };
            let rest = lists.iter().map(|id| space.settled(*id, settle)).collect();
            let words = format!("{}{}", if outcome { "" } else { "not " }, words(&test));
            let (value, part) = (Value::Text(None), Part::Texts(words));
            classes.push(Class { source: Some(source), value, part, lists: rest, region: region.clone() });
        }
        return (classes, Left::Nothing);
    };
    for Scanned { truths, value } in together.iter() {
        let rest = told(space, lists, source, truths);
        let words: Vec<String> = truths.iter().map(|atom| words(&space.formulas.atom(*atom).test)).collect();
        let part = if words.is_empty() { Part::Other } else { Part::Texts(words.join(" and ")) };
        let value = Value::Text(value.clone());
        classes.push(Class { source: Some(source), value, part, lists: rest, region: None });
    }
    (classes, Left::Nothing)
}

/// What is left of lists where, of all tests on a source that no table decides, just these are true.
fn told(space: &mut Space<'_>, lists: &[ListId], source: SourceId, truths: &BTreeSet<AtomId>) -> Vec<ListId> {
    let tests: Vec<Test> = truths.iter().map(|atom| space.formulas.atom(*atom).test.clone()).collect();
    let mut known = HashMap::new();
    let rest = lists.iter().map(|id| {
        let prepared = space.prepare(*id, source);
        let touched = truths.iter().filter_map(|atom| prepared.by_test.get(atom)).flatten().copied().collect();
        space.touched(*id, &prepared.closed, &touched, &mut |formulas, formula| {
            let settle = &mut |atom: &Atom, wanted: bool| {
                let truth = || matches!(atom.test, Test::Present) || tests.contains(&atom.test);
                (atom.source == Some(source)).then(|| truth() == wanted)
            };
            formulas.settle(formula, settle, &mut known)
        })
    });
    rest.collect()
}

/// A test as people read it.
fn words(test: &Test) -> String {
    match test {
        Test::Prefix(text) => format!("begins with `{text}`"),
        Test::Suffix(text) => format!("ends with `{text}`"),
        Test::Contains(text) => format!("contains `{text}`"),
        Test::Matches(text) => format!("matches `{text}`"),
        Test::Under { suffix, several: false } => format!("one label under `{suffix}`"),
        Test::Under { suffix, several: true } => format!("under `{suffix}`"),
        Test::Equals(_) | Test::Present | Test::Ints(_) | Test::Addresses { .. } | Test::Opaque(_) => {
            format!("{test:?}")
        }
    }
}

fn numbers(space: &mut Space<'_>, lists: &[ListId], source: SourceId, atoms: &BTreeSet<AtomId>) -> Vec<Class> {
    let field = space.source(source).field;
    let (lowest, highest) = domain::numbers(field);
    let tests: Vec<(AtomId, Test)> =
        atoms.iter().map(|atom| (*atom, space.formulas.atom(*atom).test.clone())).collect();
    let ranges = tests.iter().flat_map(|(_, test)| match test {
        Test::Ints(ranges) => ranges.clone(),
        _ => Vec::new(),
    });
    let bounds = range::bounds(ranges, i64::MIN);
    let mut classes = Vec::new();
    let mut low = i64::MIN;
    for end in bounds.iter().copied().map(Some).chain([None]) {
        let high = end.map_or(i64::MAX, |end| end - 1);
        let (from, to) = (low.max(lowest), high.min(highest));
        if from <= to {
            let usual = domain::usual_numbers(field).iter().copied().find(|number| (from..=to).contains(number));
            let value = usual.unwrap_or(from);
            let truths = tests.iter().filter(|(_, test)| test.of_int(value).unwrap_or(false));
            let rest = told(space, lists, source, &truths.map(|(atom, _)| *atom).collect());
            let (value, part) = (Value::Number(value), Part::Numbers(from, to));
            classes.push(Class { source: Some(source), value, part, lists: rest, region: None });
        }
        low = end.unwrap_or(i64::MAX);
    }
    classes
}

fn addresses(space: &mut Space<'_>, lists: &[ListId], source: SourceId, atoms: &BTreeSet<AtomId>) -> Vec<Class> {
    let (mut four, mut six) = (Vec::new(), Vec::new());
    for atom in atoms {
        if let Test::Addresses { v4, v6 } = &space.formulas.atom(*atom).test {
            four.extend_from_slice(v4);
            six.extend_from_slice(v6);
        }
    }
    let (four, six) = (range::bounds(four.into_iter(), 0), range::bounds(six.into_iter(), 0));
    let mut classes = Vec::new();
    let tests: Vec<(AtomId, Test)> =
        atoms.iter().map(|atom| (*atom, space.formulas.atom(*atom).test.clone())).collect();
    let mut add = |space: &mut Space<'_>, low: IpAddr, high: IpAddr| {
        let truth = |test: &Test| match (test, low) {
            (Test::Addresses { v4, .. }, IpAddr::V4(value)) => range::contains(v4, value.to_bits()),
            (Test::Addresses { v6, .. }, IpAddr::V6(value)) => range::contains(v6, value.to_bits()),
            _ => false,
        };
        let truths = tests.iter().filter(|(_, test)| truth(test)).map(|(atom, _)| *atom).collect();
        let rest = told(space, lists, source, &truths);
        let usual = domain::USUAL_ADDRESSES.iter().copied();
        let usual = usual.filter(|address| address.is_ipv4() == low.is_ipv4());
        let value = usual.into_iter().find(|address| (low..=high).contains(address)).unwrap_or(low);
        let (value, part) = (Value::Address(value), Part::Addresses(low, high));
        classes.push(Class { source: Some(source), value, part, lists: rest, region: None });
    };
    let starts: Vec<u32> = std::iter::once(0).chain(four).collect();
    for (at, low) in starts.iter().enumerate() {
        let high = starts.get(at + 1).map_or(u32::MAX, |next| next - 1);
        add(space, Ipv4Addr::from_bits(*low).into(), Ipv4Addr::from_bits(high).into());
    }
    let starts: Vec<u128> = std::iter::once(0).chain(six).collect();
    for (at, low) in starts.iter().enumerate() {
        let high = starts.get(at + 1).map_or(u128::MAX, |next| next - 1);
        add(space, Ipv6Addr::from_bits(*low).into(), Ipv6Addr::from_bits(high).into());
    }
    classes
}
