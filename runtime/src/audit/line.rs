//! One line of JSON in printable ASCII, written as it comes: a record is written for each request, and a tree of values for
//! each took as long as judging it.

use std::fmt::Display;
use std::io::Write as _;

use serde::Serialize;

/// A line, or the members of an object that goes into one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line(Vec<u8>);

impl Line {
    /// An empty one with room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Line {
        Line(Vec::with_capacity(bytes))
    }

    /// Begins an object.
    pub fn open(&mut self) {
        self.0.push(b'{');
    }

    /// Ends one.
    pub fn close(&mut self) {
        self.0.push(b'}');
    }

    /// Begins a member of an object; its value comes next.
    pub fn name(&mut self, name: &str) -> &mut Line {
        if !matches!(self.0.last(), None | Some(b'{')) {
            self.0.push(b',');
        }
        self.text(name);
        self.0.push(b':');
        self
    }

    /// The members of an object, at its beginning.
    pub fn members(&mut self, members: &Line) {
        self.0.extend_from_slice(&members.0);
    }

    /// A string.
    pub fn text(&mut self, text: &str) {
        self.0.push(b'"');
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')) {
            self.0.extend_from_slice(text.as_bytes());
        } else {
            text.chars().for_each(|character| self.character(character));
        }
        self.0.push(b'"');
    }

    /// A character of a string: RFC 8259, section 7.
    fn character(&mut self, character: char) {
        match character {
            '"' => self.0.extend_from_slice(br#"\""#),
            '\\' => self.0.extend_from_slice(br"\\"),
            '\n' => self.0.extend_from_slice(br"\n"),
            '\r' => self.0.extend_from_slice(br"\r"),
            '\t' => self.0.extend_from_slice(br"\t"),
            '\u{8}' => self.0.extend_from_slice(br"\b"),
            '\u{c}' => self.0.extend_from_slice(br"\f"),
            ' '..='~' => self.0.extend(u8::try_from(character)),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    let _ = write!(self.0, "\\u{unit:04x}");
                }
            }
        }
    }

    /// A whole number.
    pub fn number(&mut self, number: impl Display) {
        // Writing into memory does not fail.
        let _ = write!(self.0, "{number}");
    }

    /// Nothing.
    pub fn null(&mut self) {
        self.0.extend_from_slice(b"null");
    }

    /// A list of strings.
    pub fn list(&mut self, texts: impl Iterator<Item = impl AsRef<str>>) {
        self.0.push(b'[');
        for (at, text) in texts.enumerate() {
            if at > 0 {
                self.0.push(b',');
            }
            self.text(text.as_ref());
        }
        self.0.push(b']');
    }

    /// The bytes, with the line's end.
    pub fn end(mut self) -> Vec<u8> {
        self.0.push(b'\n');
        self.0
    }
}

/// A value as one line of JSON in printable ASCII, newline included.
pub(super) fn ascii_line(value: &impl Serialize) -> Vec<u8> {
    let mut line = Vec::with_capacity(512);
    let mut serializer = serde_json::Serializer::with_formatter(&mut line, AsciiOnly);
    // Strings, numbers and maps with string keys cannot fail to serialise into memory.
    if value.serialize(&mut serializer).is_err() {
        line.clear();
        line.extend_from_slice(br#"{"reason":"unwritable_record"}"#);
    }
    line.push(b'\n');
    line
}

/// Writes every character beyond printable ASCII as an escape.
struct AsciiOnly;

impl serde_json::ser::Formatter for AsciiOnly {
    fn write_string_fragment<W: std::io::Write + ?Sized>(&mut self, writer: &mut W, text: &str) -> std::io::Result<()> {
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return writer.write_all(text.as_bytes());
        }
        for character in text.chars() {
            match character {
                ' '..='~' => writer.write_all(&[u8::try_from(u32::from(character)).unwrap_or(b'?')])?,
                other => {
                    for unit in other.encode_utf16(&mut [0; 2]) {
                        write!(writer, "\\u{unit:04x}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_is_what_a_parser_reads() {
        let mut members = Line::default();
        members.name("dns").open();
        members.name("query").text("a.example");
        members.close();
        let mut line = Line::with_capacity(100);
        line.open();
        line.name("request").open();
        line.members(&members);
        line.name("said").text("é\"\\\n");
        line.close();
        line.name("number").number(-7);
        line.name("none").null();
        line.name("empty").open();
        line.close();
        line.name("list").list(["a", "\u{1f600}"].iter());
        line.close();
        let line = line.end();
        let read: serde_json::Value = serde_json::from_slice(&line).unwrap();
        let request = json!({ "dns": { "query": "a.example" }, "said": "é\"\\\n" });
        let whole = json!({ "request": request, "number": -7, "none": null, "empty": {}, "list": ["a", "\u{1f600}"] });
        assert_eq!(read, whole);
        assert_eq!(line.last(), Some(&b'\n'));
    }

    proptest! {
        #[test]
        fn strings_are_as_the_serialiser_writes_them(text in any::<String>()) {
            let mut line = Line::default();
            line.text(&text);
            prop_assert_eq!(line.end(), ascii_line(&text));
        }
    }
}
