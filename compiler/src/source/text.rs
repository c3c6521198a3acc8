//! What a file's bytes must be before anything else looks at them: short enough, UTF-8, and showing what they say.

use std::sync::Arc;

use super::FILE_LIMIT_BYTES;
use crate::diag::codes_files::{FORBIDDEN_CHARACTER, NOT_UTF8, TOO_LARGE};
use crate::diag::{Finding, SourceFile, SourceSpan, quoted};

/// The bytes as a file. A byte order mark at the beginning is dropped.
///
/// # Errors
/// What is wrong with them: too many, or not UTF-8.
pub fn decode(name: &str, path: &str, bytes: &[u8]) -> Result<Arc<SourceFile>, Box<Finding>> {
    if bytes.len() > FILE_LIMIT_BYTES {
        let file = SourceFile::with_path(name, path, "");
        let message = format!("{} has more than {FILE_LIMIT_BYTES} bytes (1 MiB)", quoted(path));
        return Err(Box::new(
            Finding::at(TOO_LARGE, SourceSpan { file, start: 0, end: 0 }, message)
                .help("split the rules over several files; they load in the order of their names"),
        ));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(SourceFile::with_path(name, path, text.strip_prefix('\u{feff}').unwrap_or(text))),
        Err(error) => {
            let start = error.valid_up_to();
            let byte = bytes.get(start).copied().unwrap_or_default();
            let file = SourceFile::with_path(name, path, String::from_utf8_lossy(bytes));
            let span = SourceSpan { file, start, end: start + char::REPLACEMENT_CHARACTER.len_utf8() };
            let message = format!("the file is not UTF-8: byte 0x{byte:02x} at offset {start} belongs to no character");
            Err(Box::new(Finding::at(NOT_UTF8, span, message).help("save the file as UTF-8")))
        }
    }
}

/// Findings on characters that make a file read differently from what it says. Only the first few of a file.
pub(super) fn check(file: &Arc<SourceFile>) -> Vec<Finding> {
    /// A binary file would otherwise fill the screen.
    const REPORTED: usize = 5;
    let bytes = file.text.as_bytes();
    let suspicious = |at: usize, byte: u8| match byte {
        b'\t' | b'\n' => false,
        b'\r' => bytes.get(at + 1) != Some(&b'\n'),
        0..=0x1f | 0x7f => true,
        // The first bytes of the characters in `deceives` and of the C1 controls.
        0xc2 | 0xd8 | 0xe2 | 0xef | 0xf3 => true,
        _ => false,
    };
    bytes
        .iter()
        .enumerate()
        .filter(|(at, byte)| suspicious(*at, **byte))
        .filter_map(|(at, _)| Some((at, file.text.get(at..)?.chars().next()?)))
        .filter(|(_, character)| character.is_control() || crate::diag::deceives(*character))
        .take(REPORTED)
        .map(|(start, character)| {
            let span = SourceSpan { file: file.clone(), start, end: start + character.len_utf8() };
            let name = match u32::from(character) {
                number @ 0..=0xffff => format!("\\u{number:04x}"),
                number => format!("\\U{number:08x}"),
            };
            let message = match character {
                '\r' => "a carriage return without a line feed, which only some editors show as a line".to_owned(),
                _ => format!("the character `{name}` is invisible or changes how the text around it is shown"),
            };
            let help = match character {
                '\r' => "end lines with a line feed".to_owned(),
                _ => format!("remove it, or write it as `\"{name}\"` with an escape inside double quotes"),
            };
            Finding::at(FORBIDDEN_CHARACTER, span, message).help(help)
        })
        .collect()
}
