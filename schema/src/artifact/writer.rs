//! Writes the items of a binary artifact. Equal items are written once.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::image;
use super::item::{Child, kind};
use crate::field::Field;

/// Which value a node looks at: a field, or one entry of a field that is a map.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source {
    /// The field.
    pub field: Field,
    /// The key, for `http.headers` and `response.headers`.
    pub key: Option<String>,
}

/// A deterministic automaton over bytes that tells, at the end of a string, which class the string belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Automaton {
    /// The class of each byte, below `classes`.
    pub byte_classes: [u8; 256],
    /// How many classes of bytes there are.
    pub classes: u32,
    /// The state to begin in.
    pub start: u32,
    /// For each state, the class of the strings that end there.
    pub accept: Vec<u32>,
    /// For each state and class of bytes, the next state: `classes` entries a state.
    pub transitions: Vec<u32>,
}

/// Cases of a string.
#[derive(Debug, Clone, Default)]
pub struct StrCases {
    /// Whole strings.
    pub exact: Vec<(String, Child)>,
    /// Domain suffixes without their leading dot: what follows for exactly one more label, and for several.
    pub labels: Vec<(String, Child, Child)>,
    /// Prefixes; the longest counts.
    pub prefixes: Vec<(String, Child)>,
}

/// A formula's place in the artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FormulaRef(pub(super) u32);

/// An expression's place in the artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExprRef(pub(super) u32);

/// An automaton's place in the artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AutomatonRef(pub(super) u32);

/// Collects items.
#[derive(Debug)]
pub struct Writer {
    words: Vec<u32>,
    known: HashMap<Vec<u32>, u32>,
}

impl Default for Writer {
    fn default() -> Writer {
        Writer { words: vec![0], known: HashMap::new() }
    }
}

impl Writer {
    /// How many words have been written.
    pub fn size_words(&self) -> usize {
        self.words.len()
    }

    pub(super) fn into_words(self) -> Vec<u32> {
        self.words
    }

    fn next(&self) -> u32 {
        u32::try_from(self.words.len()).unwrap_or(u32::MAX)
    }

    /// Writes an item unless the same one is there.
    pub(super) fn item(&mut self, item: Vec<u32>) -> u32 {
        if let Some(at) = self.known.get(&item) {
            return *at;
        }
        let at = self.next();
        self.words.extend_from_slice(&item);
        self.known.insert(item, at);
        at
    }

    /// Writes a text.
    pub(super) fn text(&mut self, text: &str) -> u32 {
        let mut item = vec![kind::TEXT, len32(text.len())];
        push_bytes(&mut item, text.as_bytes());
        self.item(item)
    }

    fn source(&mut self, source: &Source) -> [u32; 2] {
        let key = source.key.as_deref().map_or(0, |key| self.text(key));
        [source.field as u32, key]
    }

    /// Writes an automaton.
    pub fn automaton(&mut self, automaton: &Automaton) -> AutomatonRef {
        let states = len32(automaton.accept.len());
        let mut item = vec![kind::DFA, states, automaton.classes, automaton.start * automaton.classes];
        push_bytes(&mut item, &automaton.byte_classes);
        item.extend_from_slice(&automaton.accept);
        item.extend(automaton.transitions.iter().map(|state| state * automaton.classes));
        AutomatonRef(self.item(item))
    }

    /// Tells strings apart by table look-up. `missing` is where a missing map entry, null or an
    /// unknown field goes.
    pub fn strings(&mut self, source: &Source, missing: Child, otherwise: Child, cases: &StrCases) -> Child {
        let [field, key] = self.source(source);
        let exact: Vec<_> = cases.exact.iter().map(|(text, child)| (text.as_str(), vec![child.0])).collect();
        let exact = self.table(kind::EXACT, &exact);
        let labels: Vec<_> =
            cases.labels.iter().map(|(text, one, more)| (text.as_str(), vec![one.0, more.0])).collect();
        let labels = self.table(kind::LABELS, &labels);
        let prefixes = self.prefixes(&cases.prefixes);
        Child(self.item(vec![kind::STR, field, key, missing.0, otherwise.0, exact, labels, prefixes]))
    }

    fn table(&mut self, table: u32, entries: &[(&str, Vec<u32>)]) -> u32 {
        if entries.is_empty() {
            return 0;
        }
        let size = (entries.len() * 2).next_power_of_two().max(2);
        let at = self.next();
        let mut item = vec![table, len32(size - 1), len32(entries.len())];
        let slots = item.len();
        item.resize(slots + size * 2, 0);
        for (text, children) in entries {
            let offset = at + len32(item.len());
            let hash = image::hash(text.as_bytes());
            let mut slot = hash as usize & (size - 1);
            while item.get(slots + slot * 2 + 1).is_some_and(|taken| *taken != 0) {
                slot = (slot + 1) & (size - 1);
            }
            for (word, value) in [(0, hash), (1, offset)] {
                if let Some(place) = item.get_mut(slots + slot * 2 + word) {
                    *place = value;
                }
            }
            item.extend_from_slice(children);
            item.push(len32(text.len()));
            push_bytes(&mut item, text.as_bytes());
        }
        // Tables hold absolute offsets, so equal tables at different places differ and are not looked up.
        self.words.extend_from_slice(&item);
        at
    }

    fn prefixes(&mut self, prefixes: &[(String, Child)]) -> u32 {
        if prefixes.is_empty() {
            return 0;
        }
        let mut sorted: Vec<&(String, Child)> = prefixes.iter().collect();
        sorted.sort();
        let mut item = vec![kind::PREFIX, len32(sorted.len())];
        let mut open: Vec<(usize, &str)> = Vec::new();
        for (number, (text, child)) in sorted.into_iter().enumerate() {
            while open.last().is_some_and(|(_, prefix)| !text.starts_with(prefix)) {
                open.pop();
            }
            let parent = open.last().map_or(0, |(parent, _)| parent + 1);
            let place = self.text(text);
            item.extend([child.0, len32(parent), place]);
            open.push((number, text));
        }
        self.item(item)
    }

    /// Tells integers apart: `children[i]` is for values with exactly `i` bounds at or below them.
    pub fn integers(&mut self, source: &Source, unknown: Child, bounds: &[i64], children: &[Child]) -> Child {
        let [field, _] = self.source(source);
        let mut item = vec![kind::INT, field, len32(bounds.len()), unknown.0];
        for bound in bounds {
            push_wide(&mut item, *bound as u64 as u128, 2);
        }
        item.extend(children.iter().map(|child| child.0));
        Child(self.item(item))
    }

    /// Tells addresses apart: as [`Writer::integers`], for each family by itself.
    pub fn addresses(
        &mut self,
        source: &Source,
        unknown: Child,
        v4: (&[Ipv4Addr], &[Child]),
        v6: (&[Ipv6Addr], &[Child]),
    ) -> Child {
        let [field, _] = self.source(source);
        let mut item = vec![kind::IP, field, len32(v4.0.len()), len32(v6.0.len()), unknown.0];
        item.extend(v4.0.iter().map(|bound| bound.to_bits()));
        item.extend(v4.1.iter().map(|child| child.0));
        for bound in v6.0 {
            push_wide(&mut item, bound.to_bits(), 4);
        }
        item.extend(v6.1.iter().map(|child| child.0));
        Child(self.item(item))
    }

    /// Tells strings apart by their automaton's class.
    pub fn scan(&mut self, source: &Source, missing: Child, automaton: AutomatonRef, children: &[Child]) -> Child {
        let [field, key] = self.source(source);
        let mut item = vec![kind::SCAN, field, key, missing.0, automaton.0, len32(children.len())];
        item.extend(children.iter().map(|child| child.0));
        Child(self.item(item))
    }

    /// Tells the values of a boolean expression apart.
    pub fn test(&mut self, expr: ExprRef, on_true: Child, on_false: Child, unknown: Child) -> Child {
        Child(self.item(vec![kind::TEST, expr.0, on_true.0, on_false.0, unknown.0]))
    }

    /// Several parts whose first answer in evaluation order counts; with sets, all answers.
    pub fn parallel(&mut self, parts: &[Child]) -> Child {
        let mut item = vec![kind::PARALLEL, len32(parts.len())];
        item.extend(parts.iter().map(|part| part.0));
        Child(self.item(item))
    }

    /// Formulas with their leaves, tried in order.
    pub fn list(&mut self, entries: &[(FormulaRef, Child)]) -> Child {
        let mut item = vec![kind::LIST, len32(entries.len())];
        item.extend(entries.iter().flat_map(|(formula, leaf)| [formula.0, leaf.0]));
        Child(self.item(item))
    }

    /// Leaves that all apply.
    pub fn set(&mut self, leaves: &[Child]) -> Child {
        let mut item = vec![kind::SET, len32(leaves.len())];
        item.extend(leaves.iter().map(|leaf| leaf.0));
        Child(self.item(item))
    }

    /// A conjunction.
    pub fn and(&mut self, operands: &[FormulaRef]) -> FormulaRef {
        let mut item = vec![kind::AND, len32(operands.len())];
        item.extend(operands.iter().map(|operand| operand.0));
        FormulaRef(self.item(item))
    }

    /// A disjunction.
    pub fn or(&mut self, operands: &[FormulaRef]) -> FormulaRef {
        let mut item = vec![kind::OR, len32(operands.len())];
        item.extend(operands.iter().map(|operand| operand.0));
        FormulaRef(self.item(item))
    }

    /// A test that must come out as `wanted`. The node's leaves are [`super::item::TRUE_LEAF`],
    /// [`super::item::FALSE_LEAF`] and [`super::item::NO_LEAF`] for unknown.
    pub fn literal(&mut self, node: Child, wanted: bool) -> FormulaRef {
        FormulaRef(self.item(vec![kind::LITERAL, node.0, u32::from(wanted)]))
    }

    /// Ends the artifact: `roots` are numbered entry points.
    pub(super) fn finish(mut self, roots: &[(u32, Child)], magic: [u8; 4]) -> Vec<u8> {
        self.words.extend([kind::ROOTS, len32(roots.len())]);
        self.words.extend(roots.iter().flat_map(|(number, root)| [*number, root.0]));
        image::seal(&self.words, magic)
    }
}

/// Artifacts stay far below 2^32 words: a rules directory of that size would not fit the compiler's limits.
pub(super) fn len32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

pub(super) fn push_bytes(item: &mut Vec<u32>, bytes: &[u8]) {
    for chunk in bytes.chunks(4) {
        let mut word = [0; 4];
        for (to, from) in word.iter_mut().zip(chunk) {
            *to = *from;
        }
        item.push(u32::from_le_bytes(word));
    }
}

pub(super) fn push_wide(item: &mut Vec<u32>, value: u128, words: u32) {
    item.extend((0..words).map(|word| (value >> (32 * word)) as u32));
}
