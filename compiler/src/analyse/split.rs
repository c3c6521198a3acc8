//! One value split into the classes that some lists tell apart, and what is left of the lists in each.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;

use outcall_schema::artifact::writer::Source;

use super::domain;
use super::explore::Value;
use super::part::Part;
use super::space::{ListId, Prepared, Region, Space, is_table, union};
use crate::decide::formula::{Atom, AtomId, Look, SourceId, Test};
use crate::decide::{pattern, range};

/// More tests than this are not put in one automaton.
const PATTERNS_TOGETHER: usize = 64;

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

/// Splits the value that tells most of the lists in `focus`. With `must`, classes in which the first list cannot answer
/// may be left out; whether some were is the second result.
pub(super) fn split(
    space: &mut Space<'_>,
    lists: &[ListId],
    focus: &[ListId],
    must: bool,
    region: &dyn Fn(SourceId) -> Option<Region>,
) -> (Vec<Class>, bool) {
    // One step a class and list at least, so that the caller's budget counts every split.
    space.steps += lists.len() as u64;
    let Some(source) = choose(space, focus) else {
        return (assume(space, lists, focus), false);
    };
    let atoms = space.atoms_on(lists, source);
    let look = |look: Look| {
        atoms.iter().any(|atom| space.formulas.atom(*atom).dimension.is_some_and(|dimension| dimension.look == look))
    };
    let classes = if look(Look::Ints) {
        numbers(space, lists, source, &atoms)
    } else if look(Look::Addresses) {
        addresses(space, lists, source, &atoms)
    } else if look(Look::Table) {
        return table(space, lists, source, must);
    } else {
        let atoms: Vec<AtomId> = atoms.into_iter().collect();
        scan(space, lists, source, &atoms, region(source))
    };
    (classes, false)
}

/// The value that narrows down most of the entries.
fn choose(space: &mut Space<'_>, focus: &[ListId]) -> Option<SourceId> {
    let mut best: Option<((usize, usize), SourceId)> = None;
    for id in focus {
        let list = space.get(*id);
        if let ([only], _) | ([only, ..], [_]) = (&*list.sources, list.entries.as_slice()) {
            return Some(*only);
        }
        let mut counts: BTreeMap<SourceId, (usize, usize)> = BTreeMap::new();
        for (formula, _) in &list.entries {
            let sources: BTreeSet<SourceId> =
                space.formulas.dimensions(*formula).iter().map(|dimension| dimension.source).collect();
            for source in sources {
                let guards = space.guards(*formula, source);
                let count = counts.entry(source).or_default();
                count.0 += usize::from(guards);
                count.1 += 1;
            }
        }
        for (source, count) in counts {
            if best.is_none_or(|(known, _)| count > known) {
                best = Some((count, source));
            }
        }
    }
    best.map(|(_, source)| source)
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

fn table(space: &mut Space<'_>, lists: &[ListId], source: SourceId, must: bool) -> (Vec<Class>, bool) {
    let place = space.source(source);
    let mut classes = Vec::new();
    if domain::can_be_missing(&place) {
        classes.push(missing(space, lists, source));
    }
    if !domain::can_be_present(&place) {
        return (classes, false);
    }
    let prepared: Vec<Rc<Prepared>> = lists.iter().map(|id| space.prepare(*id, source)).collect();
    // Where the first list says something of single texts only, only those matter.
    let exact_only = must
        && prepared.first().is_some_and(|first| {
            first.index.labels.is_empty()
                && first.index.prefixes.is_empty()
                && first.index.others.is_empty()
                && space.get(first.default_list).entries.is_empty()
        });
    let of_first = prepared.get(..1).unwrap_or_default();
    let texts = union(if exact_only { of_first } else { &prepared }, |prepared| &prepared.index.exact);
    for text in &texts {
        if !domain::has(&place, text) {
            continue;
        }
        let mut known = HashMap::new();
        let rest = lists.iter().zip(&prepared).map(|(id, prepared)| {
            let mut touched: BTreeSet<usize> = prepared.index.exact.get(*text).into_iter().flatten().copied().collect();
            prepared.index.touched_by_text(text, &mut touched);
            space.touched(*id, prepared, &touched, &mut |formulas, formula| {
                let settle = &mut |atom: &Atom, wanted| {
                    (atom.source == Some(source)).then(|| pattern::is_true(&atom.test, text) == wanted)
                };
                formulas.settle(formula, settle, &mut known)
            })
        });
        let lists = rest.collect();
        let (value, part) = (Value::Text(Some((*text).to_owned())), Part::Text((*text).to_owned()));
        classes.push(Class { source: Some(source), value, part, lists, region: None });
    }
    if exact_only {
        return (classes, true);
    }
    let cases = Cases {
        all_texts: union(&prepared, |prepared| &prepared.index.exact),
        labels: union(&prepared, |prepared| &prepared.index.labels),
        prefixes: union(&prepared, |prepared| &prepared.index.prefixes),
        scanned: prepared.iter().any(|prepared| !prepared.index.others.is_empty()),
        place,
    };
    for suffix in &cases.labels {
        for several in [false, true] {
            let truth = |test: &Test| match test {
                Test::Under { suffix: wider, several: false } => !several && wider == suffix,
                Test::Under { suffix: wider, several: true } => {
                    suffix == wider || suffix.strip_suffix(wider.as_str()).is_some_and(|rest| rest.ends_with('.'))
                }
                _ => false,
            };
            let touched = |prepared: &Prepared, touched: &mut BTreeSet<usize>| {
                touched.extend(prepared.index.labels.get(*suffix).into_iter().flatten());
                prepared.index.touched_by_suffix(suffix, touched);
            };
            cases.class(space, lists, &prepared, source, &Case::Under(suffix, several), &truth, &touched, &mut classes);
        }
    }
    for prefix in &cases.prefixes {
        let truth = |test: &Test| matches!(test, Test::Prefix(shorter) if prefix.starts_with(shorter.as_str()));
        let touched = |prepared: &Prepared, touched: &mut BTreeSet<usize>| {
            prepared.index.touched_by_prefix(prefix, touched);
        };
        cases.class(space, lists, &prepared, source, &Case::Prefix(prefix), &truth, &touched, &mut classes);
    }
    cases.class(space, lists, &prepared, source, &Case::Other, &|_| false, &|_, _| {}, &mut classes);
    (classes, false)
}

/// A case that is not one text.
enum Case<'c> {
    /// One more label than a suffix, or several more.
    Under(&'c str, bool),
    /// A text that begins so.
    Prefix(&'c str),
    /// None of the others.
    Other,
}

/// The cases of a table.
struct Cases<'c> {
    all_texts: BTreeSet<&'c str>,
    labels: BTreeSet<&'c str>,
    prefixes: BTreeSet<&'c str>,
    /// Whether tests are left that need an automaton.
    scanned: bool,
    place: Source,
}

impl Cases<'_> {
    #[expect(clippy::too_many_arguments, reason = "the table in parts, since it is read and the lists are written")]
    fn class(
        &self,
        space: &mut Space<'_>,
        lists: &[ListId],
        prepared: &[Rc<Prepared>],
        source: SourceId,
        case: &Case<'_>,
        truth: &dyn Fn(&Test) -> bool,
        touch: &dyn Fn(&Prepared, &mut BTreeSet<usize>),
        classes: &mut Vec<Class>,
    ) {
        let mut known = HashMap::new();
        let rest: Vec<ListId> = lists
            .iter()
            .zip(prepared)
            .map(|(id, prepared)| {
                let mut touched = BTreeSet::new();
                touch(prepared, &mut touched);
                space.touched(*id, prepared, &touched, &mut |formulas, formula| {
                    let settle = &mut |atom: &Atom, wanted| {
                        let present = matches!(atom.test, Test::Present);
                        is_table(atom, source).then(|| (present || truth(&atom.test)) == wanted)
                    };
                    formulas.settle(formula, settle, &mut known)
                })
            })
            .collect();
        let left = self.scanned && rest.iter().any(|id| space.get(*id).sources.contains(&source));
        let mut value = self.example(case);
        let mut region = None;
        if value.is_none() || left {
            let tests = self.region(case);
            if value.is_none() {
                match space.scan(source, &[], &tests) {
                    // No value lies here.
                    Some(found) if found.is_empty() => return,
                    Some(found) => value = found.iter().find_map(|class| class.value.clone()),
                    None => {}
                }
            }
            region = left.then_some(tests);
        }
        let part = match case {
            Case::Under(suffix, false) => Part::Texts(format!("one label under `{suffix}`")),
            Case::Under(suffix, true) => Part::Texts(format!("several labels under `{suffix}`")),
            Case::Prefix(prefix) => Part::Texts(format!("begins with `{prefix}`")),
            Case::Other => Part::Other,
        };
        classes.push(Class { source: Some(source), value: Value::Text(value), part, lists: rest, region });
    }

    /// A text in the case, found by trying.
    fn example(&self, case: &Case<'_>) -> Option<String> {
        let candidates: Vec<String> = match case {
            Case::Under(suffix, several) => ["www", "other", "x", "another", "a", "third", "x1", "y", "z"]
                .iter()
                .map(|label| if *several { format!("{label}.sub.{suffix}") } else { format!("{label}.{suffix}") })
                .collect(),
            Case::Prefix(prefix) => {
                let rests = ["", "x", "other", "0", "/x", "-x", "xy", "zzz"];
                rests.iter().map(|rest| format!("{prefix}{rest}")).collect()
            }
            Case::Other => domain::usual(&self.place).iter().map(|text| (*text).to_owned()).collect(),
        };
        candidates.into_iter().find(|text| self.is_in(case, text) && domain::has(&self.place, text))
    }

    /// Whether a text lies in the case, as the runtime's tables have it.
    fn is_in(&self, case: &Case<'_>, text: &str) -> bool {
        if self.all_texts.contains(text) {
            return false;
        }
        let label = text.match_indices('.').find_map(|(dot, _)| {
            let suffix = text.get(dot + 1..)?;
            // Several more labels where the text before the dot has a dot itself; the first dot is the longest suffix.
            self.labels.contains(suffix).then(|| (suffix, text.get(..dot).unwrap_or_default().contains('.')))
        });
        let prefix = (0..=text.len()).rev().find_map(|end| {
            let prefix = text.get(..end)?;
            self.prefixes.contains(prefix).then_some(prefix)
        });
        match case {
            Case::Under(suffix, several) => label == Some((*suffix, *several)),
            Case::Prefix(wanted) => prefix == Some(wanted),
            Case::Other => label.is_none() && prefix.is_none(),
        }
    }

    /// What is known of a text in the case.
    fn region(&self, case: &Case<'_>) -> Region {
        let mut tests: Vec<(Test, bool)> = Vec::new();
        let beneath = |text: &str| match case {
            Case::Under(suffix, _) => text.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.')),
            Case::Prefix(prefix) => text.starts_with(prefix),
            Case::Other => true,
        };
        match case {
            Case::Under(suffix, several) => {
                let suffix = (*suffix).to_owned();
                tests.push((Test::Under { suffix: suffix.clone(), several: true }, true));
                tests.push((Test::Under { suffix, several: false }, !several));
            }
            Case::Prefix(prefix) => tests.push((Test::Prefix((*prefix).to_owned()), true)),
            Case::Other => {}
        }
        let same = |text: &str| match case {
            Case::Under(suffix, _) => text == *suffix,
            Case::Prefix(prefix) => text == *prefix,
            Case::Other => false,
        };
        for suffix in self.labels.iter().filter(|suffix| beneath(suffix) && !same(suffix)) {
            tests.push((Test::Under { suffix: (*suffix).to_owned(), several: true }, false));
        }
        for prefix in self.prefixes.iter().filter(|prefix| beneath(prefix) && !same(prefix)) {
            tests.push((Test::Prefix((*prefix).to_owned()), false));
        }
        let texts: BTreeSet<String> =
            self.all_texts.iter().filter(|text| beneath(text)).map(|text| (*text).to_owned()).collect();
        if !texts.is_empty() {
            tests.push((Test::Equals(texts), false));
        }
        tests.into()
    }
}

fn scan(
    space: &mut Space<'_>,
    lists: &[ListId],
    source: SourceId,
    atoms: &[AtomId],
    region: Option<Region>,
) -> Vec<Class> {
    let place = space.source(source);
    let mut classes = Vec::new();
    // A value with a region was looked up before, and is there.
    if domain::can_be_missing(&place) && region.is_none() {
        classes.push(missing(space, lists, source));
    }
    if !domain::can_be_present(&place) {
        return classes;
    }
    let region = &region.unwrap_or_else(|| Rc::from([]));
    let together = if atoms.len() <= PATTERNS_TOGETHER { space.scan(source, atoms, region) } else { None };
    let Some(together) = together else {
        // Too much for one automaton: one test, which may come out either way.
        let Some(first) = atoms.first().copied() else { return classes };
        let test = space.formulas.atom(first).test.clone();
        for outcome in [true, false] {
            let settle = &mut |atom: &Atom, wanted: bool| {
                (atom.source == Some(source) && atom.test == test).then_some(wanted == outcome)
            };
            let rest = lists.iter().map(|id| space.settled(*id, settle)).collect();
            let words = format!("{}{}", if outcome { "" } else { "not " }, words(&test));
            let (value, part) = (Value::Text(None), Part::Texts(words));
            classes.push(Class { source: Some(source), value, part, lists: rest, region: Some(region.clone()) });
        }
        return classes;
    };
    let numbers: HashMap<String, AtomId> =
        atoms.iter().map(|atom| (format!("{:?}", space.formulas.atom(*atom).test), *atom)).collect();
    for class in together.iter() {
        let settle = &mut |atom: &Atom, wanted: bool| {
            if atom.source != Some(source) {
                return None;
            }
            if matches!(atom.test, Test::Present) {
                return Some(wanted);
            }
            let number = numbers.get(&format!("{:?}", atom.test))?;
            Some(class.truths.contains(number) == wanted)
        };
        let rest = lists.iter().map(|id| space.settled(*id, settle)).collect();
        let told: Vec<String> = class.truths.iter().map(|atom| words(&space.formulas.atom(*atom).test)).collect();
        let part = if told.is_empty() { Part::Other } else { Part::Texts(told.join(" and ")) };
        let value = Value::Text(class.value.clone());
        classes.push(Class { source: Some(source), value, part, lists: rest, region: None });
    }
    classes
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
    let ranges = atoms.iter().flat_map(|atom| match &space.formulas.atom(*atom).test {
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
            let settle = &mut |atom: &Atom, wanted: bool| {
                (atom.source == Some(source)).then(|| atom.test.of_int(value).unwrap_or(false) == wanted)
            };
            let rest = lists.iter().map(|id| space.settled(*id, settle)).collect();
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
    let mut add = |space: &mut Space<'_>, low: IpAddr, high: IpAddr| {
        let truth = |test: &Test| match (test, low) {
            (Test::Addresses { v4, .. }, IpAddr::V4(value)) => range::contains(v4, value.to_bits()),
            (Test::Addresses { v6, .. }, IpAddr::V6(value)) => range::contains(v6, value.to_bits()),
            _ => false,
        };
        let settle =
            &mut |atom: &Atom, wanted: bool| (atom.source == Some(source)).then(|| truth(&atom.test) == wanted);
        let rest = lists.iter().map(|id| space.settled(*id, settle)).collect();
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
