//! Which tests of one text can be true together, read off one automaton for all of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use outcall_schema::artifact::writer::{Automaton, Source};

use super::cases::{Case, Region};
use super::domain;
use super::words::{self, Word};
use crate::decide::formula::{AtomId, Test};
use crate::decide::pattern::{self, Classes};

/// More tests than this are not put in one automaton at once, but in several that are then multiplied.
const TOGETHER: usize = 64;
/// More tests than this of what is found anywhere in a text are not put in one automaton, which doubles with each.
const LOOSE: usize = 8;
/// More states than this are not worth it.
const STATES: usize = 1 << 16;

/// A class of texts that tests tell from others.
#[derive(Debug)]
pub(super) struct Scanned {
    /// The tests that are true.
    pub(super) truths: BTreeSet<AtomId>,
    /// A text of the class, where one was found.
    pub(super) value: Option<String>,
}

/// An automaton for several tests and for what texts there are at all.
#[derive(Debug)]
pub(super) struct Joint {
    automaton: Automaton,
    /// What is true in each class of the automaton; `None` for texts that the source never has.
    truths: Vec<Option<BTreeSet<AtomId>>>,
    /// The states after one label and its dot, and after any labels and a dot.
    after_dot: [Vec<u32>; 2],
}

impl Joint {
    /// The automaton of `tests`, which stand for `atoms`; `None` where it would be too large.
    pub(super) fn new(source: &Source, atoms: &[AtomId], tests: &[&Test]) -> Option<Joint> {
        if tests.iter().filter(|test| pattern::is_loose(test)).count() > LOOSE {
            return None;
        }
        let language = Test::Matches(domain::pattern(source).to_owned());
        let tests: Vec<&Test> = std::iter::once(&language).chain(tests.iter().copied()).collect();
        let mut all: Option<Classes> = None;
        for (number, group) in tests.chunks(TOGETHER).enumerate() {
            let group = pattern::classes(group)?;
            all = Some(match &all {
                Some(all) => pattern::product(all, &group, number * TOGETHER, STATES)?,
                None => group,
            });
        }
        let all = all?;
        let truths = all.sets.iter().map(|set| {
            // The first test is whether the source ever has the text.
            let own = set.iter().filter_map(|number| atoms.get(number.checked_sub(1)?)).copied().collect();
            set.contains(&0).then_some(own)
        });
        let truths = truths.collect();
        let after_dot = [false, true].map(|several| after_dot(&all.automaton, several));
        Some(Joint { automaton: all.automaton, truths, after_dot })
    }

    /// How large it is.
    pub(super) fn states(&self) -> usize {
        self.automaton.accept.len()
    }

    fn is_true(&self, state: u32) -> Option<&BTreeSet<AtomId>> {
        let class = self.automaton.accept.get(state as usize)?;
        self.truths.get(*class as usize)?.as_ref()
    }

    /// The tests that are true of a text; `None` for one that the source never has.
    pub(super) fn of_text(&self, text: &str) -> Option<&BTreeSet<AtomId>> {
        self.is_true(run(&self.automaton, self.automaton.start, text))
    }

    /// What can be true in a case: every combination that some text has, and perhaps some that only texts have that are in
    /// other cases.
    pub(super) fn possible(&self, case: &Case) -> BTreeSet<&BTreeSet<AtomId>> {
        match case {
            Case::Other => self.truths.iter().flatten().collect(),
            Case::Prefix(prefix) => {
                let start = run(&self.automaton, self.automaton.start, prefix);
                reachable(&self.automaton, start).into_iter().filter_map(|state| self.is_true(state)).collect()
            }
            Case::Under(suffix, several) => {
                let [one, any] = &self.after_dot;
                let mut states = if *several { any } else { one }.clone();
                for byte in suffix.bytes() {
                    states = states.into_iter().map(|state| step(&self.automaton, state, byte)).collect();
                    states.sort_unstable();
                    states.dedup();
                }
                states.into_iter().filter_map(|state| self.is_true(state)).collect()
            }
        }
    }

    /// The classes that `atoms`, which are among its own, make of the texts in a region, and whether each was shown to be
    /// there: where not, its value is missing.
    pub(super) fn classes(&self, source: &Source, atoms: &BTreeSet<AtomId>, region: Option<&Region>) -> Vec<Scanned> {
        let case = region.map_or(&Case::Other, |region| &region.case);
        let among = |truths: &BTreeSet<AtomId>| -> BTreeSet<AtomId> { truths.intersection(atoms).copied().collect() };
        let mut found: BTreeMap<BTreeSet<AtomId>, Option<String>> =
            self.possible(case).into_iter().map(|truths| (among(truths), None)).collect();
        let fits = |text: &str| domain::has(source, text) && region.is_none_or(|region| region.has(text));
        let suffix = match case {
            Case::Under(suffix, _) => format!(".{suffix}"),
            Case::Prefix(_) | Case::Other => String::new(),
        };
        let start = match case {
            Case::Prefix(prefix) => prefix,
            Case::Under(..) | Case::Other => "",
        };
        let begin = run(&self.automaton, self.automaton.start, start);
        let mut offer = |text: &str| {
            if let Some(place @ None) = self.of_text(text).and_then(|truths| found.get_mut(&among(truths)))
                && fits(text)
            {
                *place = Some(text.to_owned());
            }
            found.values().all(Option::is_some)
        };
        if !case.candidates(source).iter().any(|text| offer(text)) {
            let words = words::first(&self.automaton, begin);
            words.iter().any(|word| offer(&format!("{start}{word}{suffix}")));
        }
        for (truths, value) in &mut found {
            if value.is_some() {
                continue;
            }
            let good: Vec<bool> = (0..self.automaton.accept.len() as u32)
                .map(|state| {
                    self.is_true(run(&self.automaton, state, &suffix)).is_some_and(|set| among(set) == *truths)
                })
                .collect();
            let check = |word: &str| fits(&format!("{start}{word}{suffix}"));
            if let Word::Found(word) = words::shortest(&self.automaton, begin, &good, &check) {
                *value = Some(format!("{start}{word}{suffix}"));
            }
        }
        found.into_iter().map(|(truths, value)| Scanned { truths, value }).collect()
    }
}

/// The states after a text and a dot: any text, or with `several` false one without a dot.
fn after_dot(automaton: &Automaton, several: bool) -> Vec<u32> {
    let mut seen = vec![false; automaton.accept.len()];
    let mut queue = VecDeque::from([automaton.start]);
    let mut after = BTreeSet::new();
    let mut first = true;
    while let Some(state) = queue.pop_front() {
        for byte in 0..=255 {
            let next = step(automaton, state, byte);
            if byte == b'.' && !first {
                after.insert(next);
            }
            if (several || byte != b'.')
                && let Some(mark @ false) = seen.get_mut(next as usize)
            {
                *mark = true;
                queue.push_back(next);
            }
        }
        // The start counts once a text has led back to it.
        first = false;
    }
    after.into_iter().collect()
}

fn reachable(automaton: &Automaton, start: u32) -> Vec<u32> {
    let mut seen = BTreeSet::from([start]);
    let mut queue = vec![start];
    while let Some(state) = queue.pop() {
        let next = (0..automaton.classes)
            .filter_map(|class| automaton.transitions.get((state * automaton.classes + class) as usize).copied());
        for next in next {
            if seen.insert(next) {
                queue.push(next);
            }
        }
    }
    seen.into_iter().collect()
}

fn step(automaton: &Automaton, state: u32, byte: u8) -> u32 {
    let class = automaton.byte_classes.get(usize::from(byte)).copied().unwrap_or(0);
    automaton.transitions.get((state * automaton.classes + u32::from(class)) as usize).copied().unwrap_or(0)
}

fn run(automaton: &Automaton, state: u32, text: &str) -> u32 {
    text.bytes().fold(state, |state, byte| step(automaton, state, byte))
}
