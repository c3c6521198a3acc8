//! Rule files as findings point into them: names, texts, and the line and column of every byte.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

/// A rule file's name and text.
pub struct SourceFile {
    /// The path as artifacts and reports name it, relative to the directory compiled.
    pub name: String,
    /// The path as it was found, which findings show so that an editor can open it.
    pub path: String,
    /// The text.
    pub text: String,
    /// For the text of a preset, where a rule file uses it: nobody can open this file, or mend it.
    pub used_at: Option<Box<SourceSpan>>,
    /// Where each line begins; computed when the first position is asked for.
    lines: OnceLock<Vec<u32>>,
}

/// A place as people count: both from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line, from 1.
    pub line: u32,
    /// The column, in characters, from 1.
    pub column: u32,
}

impl SourceFile {
    /// A file whose name is also its path.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<SourceFile> {
        let name = name.into();
        SourceFile::with_path(name.clone(), name, text)
    }

    /// A file that was found at `path` and is called `name` in artifacts.
    pub fn with_path(name: impl Into<String>, path: impl Into<String>, text: impl Into<String>) -> Arc<SourceFile> {
        let (name, path, text) = (name.into(), path.into(), text.into());
        Arc::new(SourceFile { name, path, text, used_at: None, lines: OnceLock::new() })
    }

    /// A text that is carried in the binary, for its use at a place in a rule file.
    pub fn shipped(name: impl Into<String>, text: impl Into<String>, used_at: SourceSpan) -> Arc<SourceFile> {
        let (name, text) = (name.into(), text.into());
        let used_at = Some(Box::new(used_at));
        Arc::new(SourceFile { path: name.clone(), name, text, used_at, lines: OnceLock::new() })
    }

    /// The line that holds the byte at `offset`, from 1. An offset past the end is on the last line.
    pub fn line(&self, offset: usize) -> u32 {
        let offset = u32::try_from(offset).unwrap_or(u32::MAX);
        let line = self.line_starts().partition_point(|start| *start <= offset);
        u32::try_from(line).unwrap_or(u32::MAX)
    }

    /// Line and column of the byte at `offset`.
    pub fn position(&self, offset: usize) -> Position {
        let line = self.line(offset);
        let start = self.line_start(line);
        let column = self.text.as_bytes().get(start..offset.min(self.text.len())).map_or(0, characters);
        Position { line, column: u32::try_from(column).unwrap_or(u32::MAX).saturating_add(1) }
    }

    /// The first byte of a line, counted from 1; the end of the text for a line that does not exist.
    pub fn line_start(&self, line: u32) -> usize {
        let at = usize::try_from(line).unwrap_or(usize::MAX).saturating_sub(1);
        self.line_starts().get(at).map_or(self.text.len(), |start| *start as usize)
    }

    fn line_starts(&self) -> &[u32] {
        self.lines.get_or_init(|| {
            let breaks = self.text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
            std::iter::once(0).chain(breaks.map(|(at, _)| u32::try_from(at + 1).unwrap_or(u32::MAX))).collect()
        })
    }
}

fn characters(bytes: &[u8]) -> usize {
    // Continuation bytes do not begin a character.
    bytes.iter().filter(|byte| **byte & 0b1100_0000 != 0b1000_0000).count()
}

/// Whether a character changes how the text around it is shown: line separators that only some editors honour, and the
/// marks that reorder or hide what stands beside them. In a file that people review for safety they have no place. The
/// joiners U+200C and U+200D, which some scripts are written with, are not among them.
pub(crate) fn deceives(character: char) -> bool {
    matches!(character,
        '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
        | '\u{e0000}'..='\u{e007f}')
}

impl std::fmt::Debug for SourceFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceFile").field("path", &self.path).field("bytes", &self.text.len()).finish()
    }
}

impl PartialEq for SourceFile {
    fn eq(&self, other: &SourceFile) -> bool {
        std::ptr::eq(self, other) || (self.name == other.name && self.path == other.path && self.text == other.text)
    }
}

impl Eq for SourceFile {}

impl Hash for SourceFile {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Not the text: it may be a mebibyte, and equal files have equal paths.
        self.path.hash(state);
    }
}

/// A place in a rule file: a range of bytes. Lines and columns follow from the file's text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SourceSpan {
    /// The file.
    pub file: Arc<SourceFile>,
    /// The first byte.
    pub start: usize,
    /// The byte after the last; equal to `start` for a point.
    pub end: usize,
}

impl SourceSpan {
    /// The line of the first byte, from 1.
    pub fn line(&self) -> u32 {
        self.file.line(self.start)
    }

    /// Where it begins.
    pub fn position(&self) -> Position {
        self.file.position(self.start)
    }

    /// Where it ends: the position after the last character.
    pub fn end_position(&self) -> Position {
        self.file.position(self.end)
    }

    /// The text it covers; empty when it does not lie in the file.
    pub fn text(&self) -> &str {
        self.file.text.get(self.start..self.end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let file = SourceFile::new("x", "aé\nb\r\n\nlast");
        let at = |offset| {
            let Position { line, column } = file.position(offset);
            (line, column)
        };
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(1), (1, 2));
        assert_eq!(at(3), (1, 3));
        assert_eq!(at(4), (2, 1));
        assert_eq!(at(7), (3, 1));
        assert_eq!(at(8), (4, 1));
        assert_eq!(at(12), (4, 5));
        assert_eq!(at(9999), (4, 5));
    }
}
