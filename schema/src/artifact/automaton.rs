//! Runs an automaton over a string.
//!
//! Most of a long string, such as a request's body, leads nowhere: an automaton that looks for a word stays where it is until
//! the word's first letter comes. One look at the table for each byte costs some 2 ns, as each waits for the one before; so
//! where a state was not left for a while, what follows is searched for a byte that leaves it, many bytes at a time.

use super::image::Image;

/// How long a state is stayed in before a search is tried: longer than hosts and most paths are.
const PATIENCE: usize = 64;

/// How much a search has to pass over to have paid for its preparation, which looks at each of 256 bytes.
const WORTH: usize = 1024;

/// How many ranges of bytes are compared with; more are looked up. An automaton that looks for one word among all characters
/// leaves its state at the word's letter and at the bytes beyond ASCII.
const RANGES: usize = 4;

/// How many bytes are compared at a time: the compiler makes vectors of them.
const BLOCK: usize = 32;

/// The class of the strings `text` belongs to.
#[inline]
pub(super) fn classify(image: &Image, automaton: u32, text: &str) -> u32 {
    let (states, classes) = (image.word(automaton + 1), image.word(automaton + 2));
    let byte_classes = image.bytes(automaton + 4, 256);
    let accept = automaton + 4 + 64;
    let transitions = accept + states;
    let next = |state: u32, byte: u8| {
        let class = byte_classes.get(usize::from(byte)).copied().unwrap_or(0);
        image.word(transitions + state + u32::from(class))
    };
    let mut state = image.word(automaton + 3);
    let (mut rest, mut stayed, mut patience) = (text.as_bytes(), 0, PATIENCE);
    while let Some((byte, after)) = rest.split_first() {
        let reached = next(state, *byte);
        stayed = if reached == state { stayed + 1 } else { 0 };
        (state, rest) = (reached, after);
        if stayed == patience {
            let passed = Leaving::new(|byte| next(state, byte) != state).search(rest);
            rest = rest.get(passed..).unwrap_or_default();
            stayed = 0;
            if passed < WORTH {
                patience = patience.saturating_mul(2);
            }
        }
    }
    image.word(accept + state.checked_div(classes).unwrap_or(0))
}

/// The bytes that leave a state.
enum Leaving {
    /// Those from `low` to `low + span`, of each pair.
    Ranges([(u8, u8); RANGES]),
    Table(Box<[bool; 256]>),
    None,
}

impl Leaving {
    fn new(leaves: impl Fn(u8) -> bool) -> Leaving {
        let mut ranges: Vec<(u8, u8)> = Vec::with_capacity(RANGES);
        for byte in (0..=255).filter(|byte| leaves(*byte)) {
            let full = ranges.len() == RANGES;
            match ranges.last_mut() {
                Some((low, span)) if u16::from(*low) + u16::from(*span) + 1 == u16::from(byte) => *span += 1,
                _ if full => return Leaving::Table(Box::new(table(leaves))),
                _ => ranges.push((byte, 0)),
            }
        }
        let Some(first) = ranges.first().copied() else { return Leaving::None };
        ranges.resize(RANGES, first);
        ranges.try_into().map_or_else(|_| Leaving::Table(Box::new([true; 256])), Leaving::Ranges)
    }

    /// How many of `bytes` come before the first that leaves.
    fn search(&self, bytes: &[u8]) -> usize {
        match self {
            Leaving::None => bytes.len(),
            Leaving::Table(table) => position(bytes, |byte| table.get(usize::from(byte)).copied().unwrap_or(true)),
            Leaving::Ranges(ranges) => {
                let [a, b, c, d] = *ranges;
                let within = |byte: u8, (low, span): (u8, u8)| byte.wrapping_sub(low) <= span;
                position(bytes, |byte| within(byte, a) | within(byte, b) | within(byte, c) | within(byte, d))
            }
        }
    }
}

fn table(leaves: impl Fn(u8) -> bool) -> [bool; 256] {
    let mut bytes = 0..=u8::MAX;
    [(); 256].map(|()| bytes.next().is_none_or(&leaves))
}

#[inline]
fn position(bytes: &[u8], leaves: impl Fn(u8) -> bool) -> usize {
    let mut passed = 0;
    for block in bytes.chunks_exact(BLOCK) {
        if block.iter().fold(false, |any, byte| any | leaves(*byte)) {
            break;
        }
        passed += BLOCK;
    }
    let rest = bytes.get(passed..).unwrap_or_default();
    passed + rest.iter().position(|byte| leaves(*byte)).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::writer::{Automaton, Writer};
    use super::*;

    /// The class, one step a byte.
    fn plainly(automaton: &Automaton, text: &str) -> u32 {
        let step = |state: u32, byte: u8| {
            let class = u32::from(automaton.byte_classes[usize::from(byte)]);
            automaton.transitions[(state * automaton.classes + class) as usize]
        };
        automaton.accept[text.bytes().fold(automaton.start, step) as usize]
    }

    #[track_caller]
    fn check(automaton: &Automaton, text: &str) {
        let mut writer = Writer::default();
        let at = writer.automaton(automaton).0;
        assert_eq!(classify(&Image::unchecked(writer), at, text), plainly(automaton, text));
    }

    /// Tells strings that contain `word`, made of different letters, from others.
    fn containing(word: &str, lonely: bool) -> Automaton {
        let mut byte_classes = [0; 256];
        for (number, letter) in (1..).zip(word.bytes()) {
            byte_classes[usize::from(letter)] = number;
        }
        // Bytes on their own make for more ranges than are compared.
        let other = u8::try_from(word.len() + 1).unwrap();
        (b'0'..=b'9').step_by(2).filter(|_| lonely).for_each(|byte| byte_classes[usize::from(byte)] = other);
        let (classes, end) = (u32::from(other) + 1, u32::from(other) - 1);
        let next = |state: u32, class: u32| match class {
            _ if state == end => end,
            _ if class == state + 1 => class,
            1 => 1,
            _ => 0,
        };
        let mut transitions: Vec<u32> =
            (0..=end).flat_map(|state| (0..classes).map(move |class| next(state, class))).collect();
        if lonely {
            // They lead to a state like the first one, but another.
            let aside = end + 1;
            transitions.extend((0..classes).map(|class| if class == u32::from(other) { 0 } else { next(0, class) }));
            transitions[usize::from(other)] = aside;
        }
        let states = transitions.len() as u32 / classes;
        Automaton {
            byte_classes,
            classes,
            start: 0,
            accept: (0..states).map(|state| u32::from(state == end)).collect(),
            transitions,
        }
    }

    #[test]
    fn a_word_is_found_wherever_it_stands() {
        for lonely in [false, true] {
            let automaton = containing("word", lonely);
            for length in [0, 1, 63, 64, 65, 95, 96, 97, 127, 128, 129, 2000] {
                let filler = "x".repeat(length);
                for text in ["", "word", "wor", "wword", "2word", "é"] {
                    check(&automaton, &format!("{filler}{text}"));
                    check(&automaton, &format!("{text}{filler}"));
                    check(&automaton, &format!("{filler}{text}{filler}ord"));
                    check(&automaton, &format!("{filler}w{filler}2{filler}{text}{filler}word"));
                }
            }
        }
        assert_eq!(plainly(&containing("word", true), "a word 24"), 1);
        assert_eq!(plainly(&containing("word", true), "a wor d 2"), 0);
    }

    prop_compose! {
        /// Any automaton; its states like to stay where they are.
        fn automata()(states in 1u32..6, classes in 1u32..6)(
            classes in Just(classes),
            byte_classes in vec(0..classes, 256),
            start in 0..states,
            accept in vec(0u32..4, states as usize),
            transitions in vec((0..states, 0u8..4), (states * classes) as usize),
        ) -> Automaton {
            let to = |(cell, (to, luck)): (u32, (u32, u8))| if luck > 0 { cell / classes } else { to };
            Automaton {
                byte_classes: byte_classes.into_iter().map(|class| class as u8).collect::<Vec<u8>>().try_into().unwrap(),
                classes,
                start,
                accept,
                transitions: (0..).zip(transitions).map(to).collect(),
            }
        }
    }

    proptest! {
        #[test]
        fn no_string_is_told_apart_differently_than_step_by_step(
            automaton in automata(),
            runs in vec((any::<char>(), 1usize..300), 0..12),
        ) {
            let text: String = runs.iter().map(|(letter, times)| letter.to_string().repeat(*times)).collect();
            check(&automaton, &text);
        }
    }
}
