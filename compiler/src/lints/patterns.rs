//! What the patterns of `matches` accept, each worked out once.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::RangeInclusive;
use std::rc::Rc;

use outcall_schema::artifact::writer::Automaton;
use outcall_schema::host::Host;

use crate::decide::formula::Test;
use crate::decide::pattern;

/// Automata of patterns, kept for all lints.
#[derive(Debug, Default)]
pub(crate) struct Patterns {
    known: RefCell<HashMap<String, Option<Rc<Automaton>>>>,
    words: RefCell<HashMap<(String, Kind), Words>>,
}

/// Words that a pattern accepts.
type Words = Rc<[String]>;

/// What the words of a pattern are to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Host,
    Path,
}

impl Patterns {
    fn automaton(&self, pattern: &str) -> Option<Rc<Automaton>> {
        if let Some(known) = self.known.borrow().get(pattern) {
            return known.clone();
        }
        let built = pattern::single(&Test::Matches(pattern.to_owned())).map(Rc::new);
        self.known.borrow_mut().insert(pattern.to_owned(), built.clone());
        built
    }

    /// Whether the pattern is found in `text`; `None` where the pattern has no automaton.
    pub(crate) fn accepts(&self, pattern: &str, text: &str) -> Option<bool> {
        Some(pattern::accepts(&*self.automaton(pattern)?, text))
    }

    /// Whether the pattern is found in every text of these bytes.
    pub(crate) fn accepts_all(&self, pattern: &str, bytes: RangeInclusive<u8>) -> bool {
        // Without the empty text it does not accept all, and that is quickly seen.
        self.accepts(pattern, "") == Some(true)
            && self.automaton(pattern).is_some_and(|automaton| reachable(&automaton, bytes).all(|accept| accept))
    }

    /// Up to 24 hosts that the pattern accepts, the shortest first.
    pub(crate) fn hosts(&self, pattern: &str) -> Words {
        let host = |word: &str| Host::parse(word).is_ok_and(|host| host.as_text() == word);
        self.words(pattern, Kind::Host, 24, b".abcdefghijklmnopqrstuvwxyz0123456789-_", host)
    }

    /// The same for paths.
    pub(crate) fn paths(&self, pattern: &str) -> Words {
        let bytes = b"/abcdefghijklmnopqrstuvwxyz0123456789-_.ABCDEFGHIJKLMNOPQRSTUVWXYZ~!$&'()*+,;=:@";
        self.words(pattern, Kind::Path, 8, bytes, |word| !word.is_empty())
    }

    fn words(&self, pattern: &str, kind: Kind, count: usize, bytes: &[u8], valid: impl Fn(&str) -> bool) -> Words {
        let key = (pattern.to_owned(), kind);
        if let Some(known) = self.words.borrow().get(&key) {
            return Rc::clone(known);
        }
        let found = self.automaton(pattern).map(|automaton| words(&automaton, count, bytes, valid)).unwrap_or_default();
        let found = Words::from(found);
        self.words.borrow_mut().insert(key, Rc::clone(&found));
        found
    }
}

/// Words that an automaton accepts, found breadth first. Separators come first among the bytes, so that a pattern's
/// unescaped dots come out as dots; none stands at the beginning of a host or behind another.
fn words(automaton: &Automaton, count: usize, bytes: &[u8], valid: impl Fn(&str) -> bool) -> Vec<String> {
    /// Places looked at: patterns on hosts have a few dozen states.
    const STEPS: usize = 20_000;
    /// Ways to one state that are followed: different words of one length through it.
    const WAYS: usize = 3;
    let next = |state: u32, byte: u8| {
        let class = automaton.byte_classes.get(usize::from(byte)).copied().unwrap_or(0);
        automaton.transitions.get((state * automaton.classes + u32::from(class)) as usize).copied().unwrap_or(0)
    };
    let accepted = |state: u32| automaton.accept.get(state as usize) == Some(&1);
    // Bytes of one class lead to the same states; the first of them will do, but for those with rules of their own.
    let mut classes = HashSet::new();
    let separator = |byte: u8| matches!(byte, b'.' | b'-');
    let class = |byte: u8| automaton.byte_classes.get(usize::from(byte)).copied().unwrap_or(0);
    let bytes: Vec<u8> =
        bytes.iter().copied().filter(|byte| separator(*byte) || classes.insert(class(*byte))).collect();
    let live = live(automaton);
    let mut found = Vec::new();
    let mut ways: HashMap<(u32, bool), usize> = HashMap::new();
    let mut pending: VecDeque<(u32, String)> = VecDeque::from([(automaton.start, String::new())]);
    for _ in 0..STEPS {
        let Some((state, word)) = pending.pop_front() else { break };
        if accepted(state) && valid(&word) {
            found.push(word.clone());
            if found.len() >= count {
                break;
            }
        }
        let mut tried: HashSet<(u32, bool)> = HashSet::new();
        for byte in &bytes {
            let dot = *byte == b'.';
            let to = next(state, *byte);
            let inside = !word.is_empty() && !word.ends_with('.');
            if (!inside && separator(*byte)) || !live.contains(&to) || !tried.insert((to, dot)) {
                continue;
            }
            let seen = ways.entry((to, dot)).or_default();
            *seen += 1;
            if *seen <= WAYS {
                pending.push_back((to, format!("{word}{}", char::from(*byte))));
            }
        }
    }
    found
}

/// For each state that some text leads to, whether the text is accepted.
fn reachable(automaton: &Automaton, bytes: RangeInclusive<u8>) -> impl Iterator<Item = bool> {
    let width = automaton.classes.max(1) as usize;
    let classes: HashSet<u8> =
        bytes.filter_map(|byte| automaton.byte_classes.get(usize::from(byte)).copied()).collect();
    let mut seen: HashSet<u32> = HashSet::new();
    let mut pending = vec![automaton.start];
    while let Some(state) = pending.pop() {
        if seen.insert(state) {
            let row = state as usize * width;
            let row = automaton.transitions.get(row..row + width).unwrap_or_default();
            pending.extend(classes.iter().filter_map(|class| row.get(usize::from(*class))));
        }
    }
    seen.into_iter().map(|state| automaton.accept.get(state as usize) == Some(&1))
}

/// The states from which something is accepted.
fn live(automaton: &Automaton) -> HashSet<u32> {
    let width = automaton.classes.max(1) as usize;
    let mut before: HashMap<u32, Vec<u32>> = HashMap::new();
    for (state, row) in (0..).zip(automaton.transitions.chunks(width)) {
        for to in row {
            before.entry(*to).or_default().push(state);
        }
    }
    let mut live: HashSet<u32> = HashSet::new();
    let mut pending: Vec<u32> =
        (0..).zip(&automaton.accept).filter(|(_, accept)| **accept == 1).map(|(at, _)| at).collect();
    while let Some(state) = pending.pop() {
        if live.insert(state) {
            pending.extend(before.get(&state).into_iter().flatten());
        }
    }
    live
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_hosts_of_a_pattern_come_first() {
        let patterns = Patterns::default();
        for (pattern, expected) in [
            (r"^api\.example\.com$", vec!["api.example.com"]),
            ("^api.example.com$", vec!["api.example.com"]),
            (r"(^|\.)example\.com$", vec!["example.com"]),
            (r"^.*\.example\.com$", vec!["a.example.com"]),
            (r"^(api|longer)\.example\.com$", vec!["api.example.com", "longer.example.com"]),
        ] {
            let found = patterns.hosts(pattern);
            let first: Vec<&str> = found.iter().take(expected.len()).map(String::as_str).collect();
            assert_eq!(first, expected, "{pattern}");
        }
        assert!(patterns.hosts("^API").is_empty());
        assert_eq!(patterns.accepts("^a+$", "aaa"), Some(true));
        assert_eq!(patterns.accepts("^a+$", "ab"), Some(false));
        assert!(patterns.accepts_all(".*", 0..=255) && patterns.accepts_all("^.*$", b' '..=b'~'));
        assert!(!patterns.accepts_all("^.*$", 0..=255) && !patterns.accepts_all("^[a-z.]*$", b' '..=b'~'));
    }
}
