//! Positions as editors count them, and changes of a text.

use std::ops::Range;

use serde::Deserialize;
use serde_json::{Value, json};

/// The unit that columns count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Bytes.
    Utf8,
    /// The protocol's default.
    Utf16,
}

/// A line and a column, both from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct Position {
    pub(super) line: u32,
    pub(super) character: u32,
}

/// From one position to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct Span {
    pub(super) start: Position,
    pub(super) end: Position,
}

impl Encoding {
    /// The byte at a position; the end of the line, or of the text, where it lies beyond.
    pub(super) fn offset(self, text: &str, position: Position) -> usize {
        let mut start = 0;
        for _ in 0..position.line {
            match text.get(start..).and_then(|rest| rest.find('\n')) {
                Some(at) => start += at + 1,
                None => return text.len(),
            }
        }
        let line = text.get(start..).unwrap_or_default().split('\n').next().unwrap_or_default();
        let line = line.strip_suffix('\r').unwrap_or(line);
        let wanted = usize::try_from(position.character).unwrap_or(usize::MAX);
        let mut count = 0;
        for (at, character) in line.char_indices() {
            let width = match self {
                Encoding::Utf8 => character.len_utf8(),
                Encoding::Utf16 => character.len_utf16(),
            };
            // A position within a character is taken for its beginning.
            if count + width > wanted {
                return start + at;
            }
            count += width;
        }
        start + line.len()
    }

    fn position(self, text: &str, offset: usize) -> Value {
        let before = text.get(..offset.min(text.len())).unwrap_or(text);
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count();
        let column = before.get(start..).unwrap_or_default();
        let column = match self {
            Encoding::Utf8 => column.len(),
            Encoding::Utf16 => column.encode_utf16().count(),
        };
        json!({ "line": line, "character": column })
    }

    /// A range of bytes as the protocol writes it.
    pub(super) fn range(self, text: &str, range: Range<usize>) -> Value {
        json!({ "start": self.position(text, range.start), "end": self.position(text, range.end) })
    }
}

/// One change of a document: a part of it, or all.
#[derive(Debug, Deserialize)]
pub(super) struct Change {
    pub(super) range: Option<Span>,
    pub(super) text: String,
}

impl Change {
    /// Makes the change.
    pub(super) fn apply(self, text: &mut String, encoding: Encoding) {
        match self.range {
            None => *text = self.text,
            Some(span) => {
                let start = encoding.offset(text, span.start);
                let end = encoding.offset(text, span.end).max(start);
                text.replace_range(start..end, &self.text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_bytes_or_utf_16_units() {
        let text = "a\né😀b\r\nlast";
        let at = |line, character| Position { line, character };
        for (position, utf16, utf8) in [
            (at(0, 0), 0, 0),
            (at(1, 1), 4, 2),
            (at(1, 3), 8, 4),
            (at(1, 4), 9, 4),
            (at(1, 99), 9, 9),
            (at(2, 2), 13, 13),
            (at(9, 0), 15, 15),
        ] {
            assert_eq!(Encoding::Utf16.offset(text, position), utf16, "{position:?}");
            assert_eq!(Encoding::Utf8.offset(text, position), utf8, "{position:?}");
        }
        assert_eq!(Encoding::Utf16.range(text, 8..9)["start"], json!({ "line": 1, "character": 3 }));
        assert_eq!(Encoding::Utf8.range(text, 8..9)["end"], json!({ "line": 1, "character": 7 }));
    }

    #[test]
    fn a_change_that_points_nowhere_changes_the_end() {
        let mut text = String::from("é\n");
        let far = Position { line: u32::MAX, character: u32::MAX };
        let span = Span { start: far, end: Position { line: 0, character: 0 } };
        Change { range: Some(span), text: "x".to_owned() }.apply(&mut text, Encoding::Utf16);
        assert_eq!(text, "é\nx");
    }
}
