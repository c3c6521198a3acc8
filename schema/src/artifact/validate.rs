//! Checks every item of an artifact once, front to back, so that walking it later cannot leave its bounds or loop.

use super::ArtifactError;
use super::expr;
use super::image::{Image, words_for};
use super::item::{Child, kind};
use crate::field::{Field, FieldType};

/// How deeply parallel parts and formulas may be nested; evaluation recurses that far.
const DEPTH_LIMIT: u16 = 200;

/// What the check learned.
pub(super) struct Checked {
    /// Where items begin, ascending.
    pub(super) items: Vec<u32>,
    /// Entry points: number and node.
    pub(super) roots: Vec<(u32, Child)>,
}

/// The kind and the depth of the item that begins at each word; kind 0 where none does.
struct Seen<'a> {
    image: &'a Image,
    items: Vec<(u8, u16)>,
}

impl Seen<'_> {
    /// The depth of an item that must exist and be of this kind.
    fn item(&self, at: u32, kind: u32) -> Result<u16, ArtifactError> {
        match self.items.get(at as usize) {
            Some((found, depth)) if u32::from(*found) == kind && kind != 0 => Ok(*depth),
            _ => Err(ArtifactError::Invalid("a reference leads to no item of its kind")),
        }
    }

    fn optional(&self, at: u32, kind: u32) -> Result<(), ArtifactError> {
        if at == 0 { Ok(()) } else { self.item(at, kind).map(drop) }
    }

    fn child(&self, word: u32) -> Result<u16, ArtifactError> {
        if Child(word).is_leaf() {
            return Ok(0);
        }
        match self.items.get(word as usize) {
            Some((found, depth)) if (kind::STR..=kind::SET).contains(&u32::from(*found)) => Ok(*depth),
            _ => Err(ArtifactError::Invalid("a reference leads to no node")),
        }
    }

    fn children(&self, at: u32, count: u32) -> Result<u16, ArtifactError> {
        (0..count).try_fold(0, |depth, number| Ok(self.child(self.image.word(at + number))?.max(depth)))
    }

    fn formula(&self, at: u32) -> Result<u16, ArtifactError> {
        match self.items.get(at as usize) {
            Some((found, depth)) if (kind::AND..=kind::LITERAL).contains(&u32::from(*found)) => Ok(*depth),
            _ => Err(ArtifactError::Invalid("a reference leads to no formula")),
        }
    }

    fn text(&self, at: u32, len: u32) -> Result<u32, ArtifactError> {
        let bytes = self.image.bytes(at, len);
        if bytes.len() != len as usize || std::str::from_utf8(bytes).is_err() {
            return Err(ArtifactError::Invalid("a text is not UTF-8"));
        }
        Ok(words_for(len))
    }

    fn field(&self, at: u32, types: &[FieldType]) -> Result<(), ArtifactError> {
        u8::try_from(self.image.word(at))
            .ok()
            .and_then(Field::from_number)
            .filter(|field| types.contains(&field.row().ty))
            .map(drop)
            .ok_or(ArtifactError::Invalid("a node looks at a field of another type"))
    }

    /// Field and key of a node over strings.
    fn source(&self, at: u32) -> Result<(), ArtifactError> {
        match self.image.word(at + 1) {
            0 => self.field(at, &[FieldType::String, FieldType::NullableString]),
            key => {
                self.item(key, kind::TEXT)?;
                self.field(at, &[FieldType::StringMap])
            }
        }
    }
}

/// Checks all items. What is read past the end reads as 0; the length of each item is checked before it is accepted.
pub(super) fn check(image: &Image) -> Result<Checked, ArtifactError> {
    let len = image.len();
    let mut seen = Seen { image, items: vec![(0, 0); len as usize] };
    let mut items = Vec::new();
    let mut at = 1;
    if !(3..1 << 31).contains(&len) || image.word(0) != 0 {
        return Err(ArtifactError::Length);
    }
    loop {
        let kind = image.word(at);
        if kind == kind::ROOTS {
            let roots = roots(&seen, at)?;
            return Ok(Checked { items, roots });
        }
        let (size, depth) = item(&seen, at, kind)?;
        let end = at.checked_add(size).filter(|end| *end < len).ok_or(ArtifactError::Length)?;
        if depth > DEPTH_LIMIT {
            return Err(ArtifactError::Invalid("parts are nested too deeply"));
        }
        if let Some(place) = seen.items.get_mut(at as usize) {
            *place = (u8::try_from(kind).unwrap_or(0), depth);
        }
        items.push(at);
        at = end;
    }
}

fn roots(seen: &Seen<'_>, at: u32) -> Result<Vec<(u32, Child)>, ArtifactError> {
    let image = seen.image;
    let count = image.word(at + 1);
    if count.checked_mul(2).and_then(|words| words.checked_add(at + 2)) != Some(image.len()) {
        return Err(ArtifactError::Length);
    }
    (0..count)
        .map(|number| {
            let root = image.word(at + 3 + number * 2);
            seen.child(root)?;
            Ok((image.word(at + 2 + number * 2), Child(root)))
        })
        .collect()
}

/// The size in words and the depth of the item at `at`.
fn item(seen: &Seen<'_>, at: u32, kind: u32) -> Result<(u32, u16), ArtifactError> {
    let image = seen.image;
    let rest = image.len() - at;
    // Every count is bounded by the words that are left before it is multiplied or looped over.
    let count = |word: u32| Some(image.word(at + word)).filter(|count| *count <= rest).ok_or(ArtifactError::Length);
    let fits = |size: u64| u32::try_from(size).ok().filter(|size| *size < rest).ok_or(ArtifactError::Length);
    match kind {
        kind::TEXT => {
            let len = image.word(at + 1);
            Ok((2 + seen.text(at + 2, len)?, 0))
        }
        kind::DFA => Ok((automaton(seen, at, rest)?, 0)),
        kind::EXACT => table(seen, at, 1),
        kind::LABELS => table(seen, at, 2),
        kind::PREFIX => {
            let entries = count(1)?;
            let size = fits(2 + 3 * u64::from(entries))?;
            let mut depth = 0;
            for number in 0..entries {
                let entry = at + 2 + 3 * number;
                depth = depth.max(seen.child(image.word(entry))?);
                seen.item(image.word(entry + 2), kind::TEXT)?;
                if image.word(entry + 1) > number {
                    return Err(ArtifactError::Invalid("a prefix comes before the one it extends"));
                }
            }
            Ok((size, depth))
        }
        kind::STR => {
            seen.source(at + 1)?;
            seen.optional(image.word(at + 5), kind::EXACT)?;
            seen.optional(image.word(at + 6), kind::LABELS)?;
            seen.optional(image.word(at + 7), kind::PREFIX)?;
            let mut depth = seen.children(at + 3, 2)?;
            for (word, kind) in [(5, kind::EXACT), (6, kind::LABELS), (7, kind::PREFIX)] {
                if image.word(at + word) != 0 {
                    depth = depth.max(seen.item(image.word(at + word), kind)?);
                }
            }
            Ok((8, depth))
        }
        kind::INT => {
            seen.field(at + 1, &[FieldType::Int])?;
            let bounds = count(2)?;
            let size = fits(4 + 3 * u64::from(bounds) + 1)?;
            Ok((size, seen.child(image.word(at + 3))?.max(seen.children(at + 4 + 2 * bounds, bounds + 1)?)))
        }
        kind::IP => {
            if image.word(at + 1) != Field::NetworkIp as u32 {
                return Err(ArtifactError::Invalid("a node looks at a field of another type"));
            }
            let (v4, v6) = (count(2)?, count(3)?);
            let size = fits(5 + 2 * u64::from(v4) + 1 + 5 * u64::from(v6) + 1)?;
            let first = seen.child(image.word(at + 4))?.max(seen.children(at + 5 + v4, v4 + 1)?);
            Ok((size, first.max(seen.children(at + 6 + 2 * v4 + 4 * v6, v6 + 1)?)))
        }
        kind::SCAN => {
            seen.source(at + 1)?;
            seen.item(image.word(at + 4), kind::DFA)?;
            let children = count(5)?;
            let automaton = image.word(at + 4);
            let states = image.word(automaton + 1);
            let accept = automaton + 4 + 64;
            if (0..states).any(|state| image.word(accept + state) >= children) {
                return Err(ArtifactError::Invalid("an automaton accepts a class without a child"));
            }
            let size = fits(6 + u64::from(children))?;
            Ok((size, seen.child(image.word(at + 3))?.max(seen.children(at + 6, children)?)))
        }
        kind::TEST => {
            seen.item(image.word(at + 1), kind::EXPR)?;
            Ok((5, seen.children(at + 2, 3)?))
        }
        kind::PARALLEL => {
            let parts = count(1)?;
            Ok((fits(2 + u64::from(parts))?, seen.children(at + 2, parts)? + 1))
        }
        kind::LIST => {
            let entries = count(1)?;
            let size = fits(2 + 2 * u64::from(entries))?;
            let mut depth = 0;
            for number in 0..entries {
                depth = depth.max(seen.formula(image.word(at + 2 + 2 * number))?);
                leaf(image.word(at + 3 + 2 * number))?;
            }
            Ok((size, depth + 1))
        }
        kind::SET => {
            let leaves = count(1)?;
            for number in 0..leaves {
                leaf(image.word(at + 2 + number))?;
            }
            Ok((fits(2 + u64::from(leaves))?, 0))
        }
        kind::AND | kind::OR => {
            let operands = count(1)?;
            let size = fits(2 + u64::from(operands))?;
            let depth =
                (0..operands).try_fold(0, |depth, number| Ok(seen.formula(image.word(at + 2 + number))?.max(depth)))?;
            Ok((size, depth + 1))
        }
        kind::LITERAL => Ok((3, seen.child(image.word(at + 1))? + 1)),
        kind::EXPR => expr::check(image, at, |at, kind| seen.item(at, kind)),
        _ => Err(ArtifactError::Invalid("an item is of no known kind")),
    }
}

fn leaf(word: u32) -> Result<(), ArtifactError> {
    if Child(word).is_leaf() { Ok(()) } else { Err(ArtifactError::Invalid("a leaf is a reference")) }
}

fn automaton(seen: &Seen<'_>, at: u32, rest: u32) -> Result<u32, ArtifactError> {
    let invalid = ArtifactError::Invalid("an automaton leads to a state it does not have");
    let image = seen.image;
    let (states, classes) = (image.word(at + 1), image.word(at + 2));
    let cells = u64::from(states) * u64::from(classes);
    let size = 4 + 64 + u64::from(states) + cells;
    if classes == 0 || classes > 256 || states == 0 || size >= u64::from(rest) {
        return Err(ArtifactError::Length);
    }
    if image.bytes(at + 4, 256).iter().any(|class| u32::from(*class) >= classes) {
        return Err(invalid);
    }
    let transitions = at + 4 + 64 + states;
    let is_state = |word: u32| u64::from(word) < cells && word.is_multiple_of(classes);
    if !is_state(image.word(at + 3)) || !(0..cells as u32).all(|cell| is_state(image.word(transitions + cell))) {
        return Err(invalid);
    }
    Ok(size as u32)
}

/// A hash table whose entries have `children` words before their text.
fn table(seen: &Seen<'_>, at: u32, children: u32) -> Result<(u32, u16), ArtifactError> {
    let image = seen.image;
    let invalid = ArtifactError::Invalid("a table's slots and entries do not agree");
    let (mask, entries) = (image.word(at + 1), image.word(at + 2));
    let slots = u64::from(mask) + 1;
    // An empty slot must be left, or a search for what is not there would not end.
    if !slots.is_power_of_two() || u64::from(entries) >= slots || slots * 2 + 3 >= u64::from(image.len() - at) {
        return Err(invalid);
    }
    let mut place = at + 3 + 2 * (mask + 1);
    let mut starts = Vec::with_capacity(entries as usize);
    let mut depth = 0;
    for _ in 0..entries {
        starts.push(place);
        depth = depth.max(seen.children(place, children)?);
        let len = image.word(place + children);
        let words = seen.text(place + children + 1, len)?;
        place =
            place.checked_add(children + 1 + words).filter(|end| *end < image.len()).ok_or(ArtifactError::Length)?;
    }
    let mut used = 0;
    for slot in 0..=mask {
        let entry = image.word(at + 4 + 2 * slot);
        if entry != 0 {
            used += 1;
            starts.binary_search(&entry).map_err(|_| invalid.clone())?;
        }
    }
    if used != entries { Err(invalid) } else { Ok((place - at, depth)) }
}
