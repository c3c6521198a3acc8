//! What an editor asks about a rule file: what stands here, what could stand here, where is it defined.
//!
//! A file that is being written is rarely well-formed, so none of this needs the file's tree: the place of the cursor follows
//! from the lines above it and their indents.

mod complete;
mod define;
mod hover;
mod place;
mod suppress;

use std::ops::Range;

pub use complete::{Candidate, CandidateKind, complete};
pub use define::definition;
pub use hover::hover;
pub use place::{Place, Position, place};
pub use suppress::suppression;

/// The word of a condition around `offset`: a dotted name with a `$` before it, if there is one.
fn word_at(text: &str, offset: usize) -> Range<usize> {
    let within = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'$');
    around(text, offset, within)
}

/// The bytes around `offset` that are all `within`.
fn around(text: &str, offset: usize, within: impl Fn(u8) -> bool) -> Range<usize> {
    let bytes = text.as_bytes();
    let offset = offset.min(bytes.len());
    let before = bytes.get(..offset).unwrap_or_default().iter().rev().take_while(|byte| within(**byte)).count();
    let after = bytes.get(offset..).unwrap_or_default().iter().take_while(|byte| within(**byte)).count();
    offset - before..offset + after
}
