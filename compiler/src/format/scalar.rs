//! How a scalar is written: quoted only where it has to be, and block scalars as they are, at another indent.

use granit_parser::ScalarStyle;

use crate::diag::deceives;
use crate::source::yaml::Scalar;

/// A scalar as the layout writes it.
#[derive(Debug)]
pub(super) enum Written {
    /// On the line of its key.
    Line(String),
    /// A flow scalar over several lines: the first on the line of its key, the others indented below it.
    Lines(Vec<String>),
    /// A block scalar.
    Block {
        /// `|` or `>`, with an indentation indicator where it needs one, and its chomping indicator.
        header: String,
        /// Its lines without their indent.
        lines: Vec<String>,
        /// Whether empty lines behind it belong to it.
        keeps: bool,
    },
}

/// Whether the scalar stands between brackets, where more characters mean something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Block,
    Flow,
}

/// Writes a scalar that stands at `raw` of the source. `header` is what stands before a block scalar, from its `|` or `>`.
pub(super) fn written(header: &str, raw: &str, scalar: &Scalar<'_>, place: Place) -> Written {
    match scalar.style {
        ScalarStyle::Literal => {
            let body = scalar.text.trim_end_matches('\n');
            block('|', header, body.split('\n').map(str::to_owned).collect(), &scalar.text)
        }
        ScalarStyle::Folded => block('>', header, folded(raw, scalar), &scalar.text),
        _ if raw.contains('\n') => Written::Lines(lines(raw, scalar.style)),
        _ => Written::Line(line(raw, scalar, place)),
    }
}

/// A scalar on one line. Plain ones stay as they are.
pub(super) fn line(raw: &str, scalar: &Scalar<'_>, place: Place) -> String {
    if scalar.style == ScalarStyle::Plain {
        return raw.trim().to_owned();
    }
    quoted(raw, &scalar.text, place)
}

/// A key, which needs quotes less often than a value.
pub(super) fn key(raw: &str, text: &str) -> String {
    if !raw.starts_with(['"', '\'']) {
        return raw.trim().to_owned();
    }
    let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let begins = text.bytes().next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_');
    if begins && text.bytes().all(word) && !resembles_no_text(text) {
        return text.to_owned();
    }
    quoted(raw, text, Place::Flow)
}

/// What was quoted: plain where that reads the same everywhere, else in double quotes, or in single ones where nothing has
/// to be escaped then. Text with invisible characters keeps its escapes.
fn quoted(raw: &str, text: &str, place: Place) -> String {
    if is_plain(text, place) {
        text.to_owned()
    } else if text.chars().any(|character| character.is_control() || deceives(character)) {
        raw.to_owned()
    } else if text.contains(['"', '\\']) {
        format!("'{}'", text.replace('\'', "''"))
    } else {
        format!("\"{text}\"")
    }
}

/// Whether text can stand without quotes, and no YAML reader would take it for anything else.
fn is_plain(text: &str, place: Place) -> bool {
    let begins = |first: char| first.is_ascii_alphanumeric() || matches!(first, '_' | '$' | '/' | '(' | '.');
    let usual = |character: char| !character.is_control() && !deceives(character);
    let in_flow = |character: char| {
        character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.' | '/' | '$' | '@' | '+' | '=' | ' ')
    };
    text.starts_with(begins)
        && text.trim_end() == text
        && text.chars().all(usual)
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with(':')
        && (place == Place::Block || text.chars().all(in_flow))
        && !resembles_no_text(text)
}

/// Whether some version of YAML reads the text as a number, a boolean, a date or nothing.
fn resembles_no_text(text: &str) -> bool {
    const WORDS: [&str; 13] = ["null", "~", "true", "false", "yes", "no", "on", "off", "y", "n", ".inf", ".nan", "..."];
    let numeric = |byte: u8| {
        byte.is_ascii_hexdigit()
            || matches!(byte, b'x' | b'X' | b'o' | b'O' | b'_' | b'.' | b':' | b'+' | b'-' | b' ')
            || matches!(byte, b'T' | b't' | b'Z' | b'z')
    };
    let begins = |first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.');
    WORDS.iter().any(|word| word.eq_ignore_ascii_case(text)) || text.starts_with(begins) && text.bytes().all(numeric)
}

/// The lines of a flow scalar. White space around its line breaks means nothing, but for an escaped blank.
fn lines(raw: &str, style: ScalarStyle) -> Vec<String> {
    let end = |line: &str| {
        let shown = line.trim_end_matches([' ', '\t', '\r']);
        if style == ScalarStyle::DoubleQuoted && shown.ends_with('\\') {
            return line.trim_end_matches('\r').to_owned();
        }
        shown.to_owned()
    };
    raw.split('\n').map(|line| end(line.trim_start_matches([' ', '\t']))).collect()
}

/// The lines of a folded scalar as they were written, without their indent.
fn folded(raw: &str, scalar: &Scalar<'_>) -> Vec<String> {
    let empty = scalar.text.len() - scalar.text.trim_start_matches('\n').len();
    let body = scalar.text.trim_end_matches('\n');
    if body.is_empty() {
        return vec![String::new()];
    }
    let strip = |(at, line): (usize, &str)| {
        let line = line.trim_end_matches('\r');
        let blanks =
            if at == 0 { 0 } else { line.bytes().take(scalar.indent).take_while(|byte| *byte == b' ').count() };
        line.get(blanks..).unwrap_or_default().to_owned()
    };
    std::iter::repeat_n(String::new(), empty).chain(raw.split('\n').enumerate().map(strip)).collect()
}

fn block(kind: char, header: &str, mut lines: Vec<String>, text: &str) -> Written {
    let indicators = header.split([' ', '\t', '\r', '\n', '#']).next().unwrap_or_default();
    let chomping = indicators.chars().find(|indicator| matches!(indicator, '-' | '+'));
    let mut header = String::from(kind);
    // The first line tells the indent, unless blanks stand before its text or it only has blanks.
    let first = lines.iter().find(|line| !line.is_empty());
    if first.is_some_and(|line| line.starts_with(' ')) {
        header.push('2');
    }
    header.extend(chomping);
    let keeps = chomping == Some('+');
    if lines.iter().all(String::is_empty) {
        lines.clear();
    }
    if keeps {
        let breaks = text.len() - text.trim_end_matches('\n').len();
        let empty = if lines.is_empty() { breaks } else { breaks.saturating_sub(1) };
        lines.extend(std::iter::repeat_n(String::new(), empty));
    }
    Written::Block { header, lines, keeps }
}
