//! The shortest strings that an automaton accepts.

use std::collections::VecDeque;

use outcall_schema::artifact::writer::Automaton;

/// How many partial words are looked at before the search gives up.
const EFFORT: usize = 20_000;
/// How many words through one state are followed: more only differ in ways that the check on them seldom minds.
const THROUGH: usize = 48;
/// How many bytes of a class of bytes are tried.
const BYTES: usize = 3;

/// What a search came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    /// This one.
    Found(String),
    /// The automaton accepts none.
    None,
    /// Some are accepted, but none that passes the check was found.
    Unsure,
}

/// A shortest word from `start` to each state, where there is one in UTF-8 that is easy to find; short words first.
pub(super) fn first(automaton: &Automaton, start: u32) -> Vec<String> {
    let bytes = bytes_by_class(automaton);
    let mut seen = vec![false; automaton.accept.len()];
    if let Some(mark) = seen.get_mut(start as usize) {
        *mark = true;
    }
    let mut words: Vec<(u32, Vec<u8>)> = vec![(start, Vec::new())];
    let mut at = 0;
    while let Some((state, word)) = words.get(at).cloned() {
        at += 1;
        for (class, bytes) in &bytes {
            let target = automaton.transitions.get((state * automaton.classes) as usize + class).copied().unwrap_or(0);
            if let (Some(mark @ false), Some(byte)) = (seen.get_mut(target as usize), bytes.first()) {
                *mark = true;
                let mut longer = word.clone();
                longer.push(*byte);
                words.push((target, longer));
            }
        }
    }
    words.into_iter().filter_map(|(_, word)| String::from_utf8(word).ok()).collect()
}

/// The shortest word that leads from `start` to a state in `good` and passes `check`.
pub(super) fn shortest(automaton: &Automaton, start: u32, good: &[bool], check: &dyn Fn(&str) -> bool) -> Word {
    let states = automaton.accept.len();
    let width = automaton.classes as usize;
    let next = |state: usize, class: usize| {
        automaton.transitions.get(state * width + class).map_or(usize::MAX, |next| *next as usize)
    };
    // The states from which a good one can be reached.
    let mut before: Vec<Vec<usize>> = vec![Vec::new(); states];
    for state in 0..states {
        for class in 0..width {
            if let Some(list) = before.get_mut(next(state, class)) {
                list.push(state);
            }
        }
    }
    let mut live = good.to_vec();
    let mut queue: VecDeque<usize> = (0..states).filter(|state| good.get(*state) == Some(&true)).collect();
    while let Some(state) = queue.pop_front() {
        for earlier in before.get(state).into_iter().flatten() {
            if let Some(mark @ false) = live.get_mut(*earlier) {
                *mark = true;
                queue.push_back(*earlier);
            }
        }
    }
    let start = start as usize;
    if live.get(start) != Some(&true) {
        return Word::None;
    }
    let bytes = bytes_by_class(automaton);
    let mut visits = vec![0_usize; states];
    let mut queue: VecDeque<(usize, Vec<u8>)> = VecDeque::from([(start, Vec::new())]);
    for _ in 0..EFFORT {
        let Some((state, word)) = queue.pop_front() else { break };
        if good.get(state) == Some(&true)
            && let Ok(text) = std::str::from_utf8(&word)
            && check(text)
        {
            return Word::Found(text.to_owned());
        }
        for (class, bytes) in &bytes {
            let target = next(state, *class);
            if live.get(target) != Some(&true) {
                continue;
            }
            for byte in bytes {
                let Some(visits) = visits.get_mut(target) else { continue };
                if *visits < THROUGH {
                    *visits += 1;
                    let mut longer = word.clone();
                    longer.push(*byte);
                    queue.push_back((target, longer));
                }
            }
        }
    }
    Word::Unsure
}

/// A few bytes of each class, those first that are easiest to read.
fn bytes_by_class(automaton: &Automaton) -> Vec<(usize, Vec<u8>)> {
    let ease = |byte: u8| match byte {
        b'a'..=b'z' => 0,
        b'A'..=b'Z' => 1,
        b'0'..=b'9' => 2,
        b'-' | b'/' | b'.' | b'_' => 3,
        0x21..=0x7e => 4,
        b' ' => 5,
        _ => 6,
    };
    let mut order: Vec<u8> = (0..=255).collect();
    order.sort_by_key(|byte| (ease(*byte), *byte));
    let mut classes: Vec<(usize, Vec<u8>)> = Vec::new();
    for byte in order {
        let class = automaton.byte_classes.get(usize::from(byte)).map_or(0, |class| usize::from(*class));
        match classes.iter_mut().find(|(known, _)| *known == class) {
            Some((_, bytes)) if bytes.len() < BYTES => bytes.push(byte),
            Some(_) => {}
            None => classes.push((class, vec![byte])),
        }
    }
    classes
}
