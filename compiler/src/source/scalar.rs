//! From an offset in a scalar's text back to the file.
//!
//! The text is laid beside the bytes it was written with, following the rules of the scalar's style (YAML 1.2.2, sections
//! 6.5, 7.3 and 8.1). Whatever does not match in the end is not guessed: the whole scalar stands for it.

use std::ops::Range;

use granit_parser::ScalarStyle;

use super::yaml::Scalar;

/// A part of a scalar's text and the bytes of the file that it was written with. Where both are equally long they
/// correspond byte by byte; else (an escape, a line break with its indentation) the one stands for the other as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// In the text.
    pub text: Range<usize>,
    /// In the file.
    pub source: Range<usize>,
}

/// The segments of a scalar that stands at `span` of `source`: sorted, without gaps, covering the whole text.
pub fn segments(source: &str, span: &Range<usize>, scalar: &Scalar<'_>) -> Vec<Segment> {
    let mut aligner = Aligner { source, text: &scalar.text, from: 0, at: span.start, end: span.end, done: Vec::new() };
    let aligned = match scalar.style {
        ScalarStyle::Plain => aligner.flow(Quote::None),
        ScalarStyle::SingleQuoted => aligner.quoted(Quote::Single),
        ScalarStyle::DoubleQuoted => aligner.quoted(Quote::Double),
        ScalarStyle::Literal => aligner.block(scalar.indent, Fold::Never),
        ScalarStyle::Folded => aligner.block(scalar.indent, Fold::Lines),
    };
    match aligned {
        Some(()) => aligner.done,
        None => vec![Segment { text: 0..scalar.text.len(), source: span.clone() }],
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quote {
    None,
    Single,
    Double,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fold {
    Never,
    Lines,
}

/// Walks text and source together. Every step answers `None` when they do not match.
struct Aligner<'a> {
    source: &'a str,
    text: &'a str,
    /// The next byte of the text.
    from: usize,
    /// The next byte of the source.
    at: usize,
    /// The end of the scalar in the source.
    end: usize,
    done: Vec<Segment>,
}

impl Aligner<'_> {
    fn quoted(&mut self, quote: Quote) -> Option<()> {
        self.at += 1;
        self.end = self.end.checked_sub(1)?;
        self.flow(quote)
    }

    /// A flow scalar: white space around line breaks falls away, one break becomes a blank, more become breaks.
    fn flow(&mut self, quote: Quote) -> Option<()> {
        loop {
            let rest = self.source.get(self.at..self.end)?;
            let Some(next) = rest.chars().next() else { break };
            let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
            if rest.get(blanks..)?.starts_with(['\n', '\r']) {
                let (breaks, length) = line_breaks(rest.get(blanks..)?);
                let made = if breaks == 1 { " ".to_owned() } else { "\n".repeat(breaks - 1) };
                self.step_over(&made, blanks + length)?;
            } else if quote == Quote::Single && next == '\'' {
                self.step_over("'", 2)?;
            } else if quote == Quote::Double && next == '\\' {
                self.escape(rest)?;
            } else if blanks > 0 {
                self.copy(blanks)?;
            } else {
                // Everything up to what may mean something else.
                let run = rest.find([' ', '\t', '\n', '\r', '\'', '\\']).unwrap_or(rest.len());
                self.copy(run.max(next.len_utf8()))?;
            }
        }
        (self.from == self.text.len()).then_some(())
    }

    /// An escape inside double quotes (YAML 1.2.2, section 5.7).
    fn escape(&mut self, rest: &str) -> Option<()> {
        let after = rest.get(1..)?;
        if after.starts_with(['\n', '\r']) {
            let (breaks, length) = line_breaks(after);
            return self.step_over(&"\n".repeat(breaks - 1), 1 + length);
        }
        let length = match after.chars().next()? {
            'x' => 4,
            'u' => 6,
            'U' => 10,
            other => 1 + other.len_utf8(),
        };
        let made = self.text.get(self.from..)?.chars().next()?;
        // A character beyond the basic plane may be written as two surrogates.
        let pair = length == 6 && u32::from(made) > 0xffff;
        let made = made.encode_utf8(&mut [0; 4]).to_owned();
        self.step_over(&made, if pair { 12 } else { length })
    }

    /// A block scalar: its lines lose their indent. Its span begins at the first line's content; empty lines may precede.
    fn block(&mut self, indent: usize, fold: Fold) -> Option<()> {
        let leading = self.text.len() - self.text.trim_start_matches('\n').len();
        if leading > 0 {
            let text = self.text.get(..leading)?.to_owned();
            self.step_over(&text, 0)?;
        }
        loop {
            let rest = self.source.get(self.at..self.end)?;
            let line = rest.find(['\n', '\r']).unwrap_or(rest.len());
            self.copy(line)?;
            let (length, breaks) = block_breaks(rest.get(line..)?, indent);
            let made = self.text.get(self.from..)?;
            let newlines = made.len() - made.trim_start_matches('\n').len();
            if self.at == self.end || self.from == self.text.len() {
                // The rest is up to the chomping indicator: line breaks or nothing.
                let rest = made.to_owned();
                return rest.trim().is_empty().then_some(()).and_then(|()| self.step_over(&rest, 0));
            }
            let made = match (newlines, fold) {
                (0, Fold::Lines) if breaks == 1 => " ".to_owned(),
                (0, _) => return None,
                (found, Fold::Never) if found != breaks => return None,
                (found, _) if found > breaks => return None,
                (found, _) => "\n".repeat(found),
            };
            self.step_over(&made, length)?;
        }
    }

    /// `length` bytes that stand in the text as they do in the source.
    fn copy(&mut self, length: usize) -> Option<()> {
        let bytes = self.source.get(self.at..self.at + length)?;
        if !self.text.get(self.from..)?.starts_with(bytes) {
            return None;
        }
        match self.done.last_mut() {
            Some(last) if last.text.len() == last.source.len() && last.source.end == self.at => {
                last.text.end += length;
                last.source.end += length;
            }
            _ if length == 0 => {}
            _ => self.push(length, length),
        }
        self.from += length;
        self.at += length;
        Some(())
    }

    /// `length` bytes of the source that became `made`.
    fn step_over(&mut self, made: &str, length: usize) -> Option<()> {
        if !self.text.get(self.from..)?.starts_with(made) || self.at + length > self.end {
            return None;
        }
        if !made.is_empty() {
            self.push(made.len(), length);
        }
        self.from += made.len();
        self.at += length;
        Some(())
    }

    fn push(&mut self, text: usize, source: usize) {
        self.done.push(Segment { text: self.from..self.from + text, source: self.at..self.at + source });
    }
}

/// The line breaks at the beginning, with the white space of empty lines and of the next line's beginning: how many, and
/// their length in bytes.
fn line_breaks(text: &str) -> (usize, usize) {
    let skipped = text.len() - text.trim_start_matches([' ', '\t', '\n', '\r']).len();
    let breaks = text.get(..skipped).unwrap_or_default().matches('\n').count();
    (breaks.max(1), skipped)
}

/// The line breaks at the beginning and the indentation of the next line with content, which has `indent` blanks: their
/// length in bytes, and how many.
fn block_breaks(text: &str, indent: usize) -> (usize, usize) {
    let mut length = 0;
    let mut breaks = 0;
    loop {
        let rest = text.get(length..).unwrap_or_default();
        let line_break = if rest.starts_with("\r\n") { 2 } else { usize::from(rest.starts_with('\n')) };
        if line_break == 0 {
            return (length, breaks);
        }
        breaks += 1;
        length += line_break;
        let blanks =
            text.get(length..).unwrap_or_default().bytes().take(indent).take_while(|byte| *byte == b' ').count();
        length += blanks;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::diag::SourceFile;
    use crate::source::yaml::{self, NodeKind};

    /// The scalar under the key `a`, laid beside its source: pairs of text and source. `None` if it is no scalar.
    fn laid(source: &str) -> Option<(String, Vec<Segment>, Range<usize>)> {
        let file = SourceFile::new("a.yaml", source);
        let (document, findings) = yaml::read(&file);
        let root = document.root.filter(|_| findings.is_empty())?;
        let NodeKind::Mapping(entries) = &root.kind else { return None };
        let node = &entries.first()?.value;
        let NodeKind::Scalar(scalar) = &node.kind else { return None };
        Some((scalar.text.to_string(), segments(source, &node.span, scalar), node.span.clone()))
    }

    fn check(source: &str, expected: &[(&str, &str)]) {
        let (text, segments, _) = laid(source).unwrap();
        let found: Vec<_> =
            segments.iter().map(|segment| (&text[segment.text.clone()], &source[segment.source.clone()])).collect();
        assert_eq!(found, expected, "{source:?}");
    }

    #[test]
    fn each_style_is_laid_beside_its_source() {
        check("a: one two\n", &[("one two", "one two")]);
        check(
            "a: one\n  two\n\n  three # c\n",
            &[("one", "one"), (" ", "\n  "), ("two", "two"), ("\n", "\n\n  "), ("three", "three")],
        );
        check("a: 'it''s'\n", &[("it", "it"), ("'", "''"), ("s", "s")]);
        check(
            "a: \"x\\ty\\\n   z \\u00e9\"\n",
            &[("x", "x"), ("\t", "\\t"), ("y", "y"), ("z ", "z "), ("é", "\\u00e9")],
        );
        check("a: \"\\ud83d\\ude00!\"\n", &[("😀", "\\ud83d\\ude00"), ("!", "!")]);
        check("a: |\n  one\n    two\n", &[("one", "one"), ("\n", "\n  "), ("  two", "  two"), ("\n", "")]);
        check(
            "a: >-\n  one\n  two\n\n  three\n",
            &[("one", "one"), (" ", "\n  "), ("two", "two"), ("\n", "\n\n  "), ("three", "three")],
        );
        check("a: |2-\n\n   one\n", &[("\n", ""), (" one", " one")]);
        check("a: >\r\n  one\r\n  two\r\n", &[("one", "one"), (" ", "\r\n  "), ("two", "two"), ("\n", "")]);
    }

    /// Pieces that scalars of all styles are put together from.
    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            4 => Just("x"), 2 => Just("yz"), 2 => Just(" "), 1 => Just("  "), 1 => Just("\t"), 2 => Just("\n  "), 1 => Just("\n\n  "),
            1 => Just("\n    "), 1 => Just("\r\n  "), 1 => Just("\n \n  "), 1 => Just("é"), 1 => Just("😀"), 1 => Just("''"), 1 => Just("'"),
            1 => Just("\\\""), 1 => Just("\\n"), 1 => Just("\\u0041"), 1 => Just("\\x41"), 1 => Just("\\U0001F600"), 1 => Just("\\ "),
            1 => Just("\\\n  "), 1 => Just("\\\\"), 1 => Just(":"), 1 => Just("#"), 1 => Just("\\ud83d\\ude00"), 1 => Just("\\t"),
        ];
        proptest::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
    }

    fn document() -> impl Strategy<Value = String> {
        (pieces(), 0_usize..11, any::<bool>()).prop_map(|(body, style, more)| {
            let end = if more { "\nb: 1\n" } else { "\n" };
            match style {
                0 => format!("a: {body}{end}"),
                1 => format!("a: '{body}'{end}"),
                2 | 3 => format!("a: \"{body}\"{end}"),
                4 => format!("a: |\n  {body}{end}"),
                5 => format!("a: |-\n  {body}{end}"),
                6 => format!("a: |2+\n  {body}{end}"),
                7 => format!("a: >\n  {body}{end}"),
                8 => format!("a: >-\n  {body}{end}"),
                9 => format!("a: >2+\n\n  {body}{end}"),
                _ => format!("a:\n  {body}{end}"),
            }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 50_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn segments_cover_the_text_in_order_and_equal_ones_are_equal(source in document()) {
            let Some((text, segments, span)) = laid(&source) else { return Ok(()) };
            let mut from = 0;
            let mut at = span.start;
            for segment in &segments {
                prop_assert_eq!(segment.text.start, from);
                prop_assert!(segment.source.start >= at && segment.source.end <= span.end, "{:?}", segment);
                from = segment.text.end;
                at = segment.source.end;
                if segments.len() > 1 && segment.text.len() == segment.source.len() {
                    let (made, written) = (&text[segment.text.clone()], &source[segment.source.clone()]);
                    // A fold turns one break into one blank, which are equally long.
                    prop_assert_eq!(made.replace('\n', " "), written.replace('\n', " "));
                }
            }
            prop_assert_eq!(from, text.len());
            // Found again character by character, unless the whole scalar had to stand for it.
            let whole = segments.len() == 1 && segments[0].source == span && text.len() != span.len();
            prop_assert!(!whole || text.trim().is_empty(), "not laid: {:?} {:?}", text, source);
        }

        #[test]
        fn any_text_can_be_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = crate::source::parse(&bytes);
        }
    }
}
