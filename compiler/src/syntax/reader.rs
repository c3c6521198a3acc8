//! Reading values out of a tree: each answers what it read, or nothing after reporting why not.

use std::ops::Range;
use std::sync::Arc;

use granit_parser::ScalarStyle;

use super::keys::Context;
use super::{Spanned, Text};
use crate::diag::codes_files::{EMPTY, MISSING_KEY, NUMBER, UNKNOWN_KEY, UNKNOWN_VALUE, WRONG_KIND};
use crate::diag::{Finding, Fix, SourceFile, SourceSpan, nearest, quoted};
use crate::source::yaml::{Entry, Node, NodeKind, Scalar};

/// Reads one file's tree and collects what is wrong with it.
pub(super) struct Reader<'f> {
    pub(super) file: &'f Arc<SourceFile>,
    pub(super) findings: Vec<Finding>,
    /// Where the collections begin of which only a part was read.
    pub(super) cut: Vec<usize>,
    /// Where a mapping begins and the key that one of its unknown keys was probably meant to be.
    pub(super) suggested: Vec<(usize, &'static str)>,
}

impl<'f> Reader<'f> {
    pub(super) fn place(&self, range: &Range<usize>) -> SourceSpan {
        SourceSpan { file: self.file.clone(), start: range.start, end: range.end }
    }

    /// Whether what begins here was read to its end, so that what it lacks is missing.
    pub(super) fn whole(&self, range: &Range<usize>) -> bool {
        !self.cut.contains(&range.start)
    }

    pub(super) fn report(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    pub(super) fn error(&mut self, code: &'static str, range: &Range<usize>, message: impl Into<String>, help: &str) {
        let finding = Finding::at(code, self.place(range), message);
        self.report(if help.is_empty() { finding } else { finding.help(help) });
    }

    /// The entries of a mapping whose keys are known; the others are reported.
    pub(super) fn known<'n, 'a>(&mut self, node: &'n Node<'a>, what: &str, context: Context) -> Vec<&'n Entry<'a>> {
        let Some(entries) = self.mapping(node, what) else { return Vec::new() };
        let mut known = Vec::with_capacity(entries.len());
        for entry in entries {
            if context.key(&entry.key).is_some() {
                known.push(entry);
            } else if !entry.key.is_empty() {
                self.unknown_key(node.span.start, entry, context);
            }
        }
        known
    }

    /// Reports a key that has no place here.
    fn unknown_key(&mut self, mapping: usize, entry: &Entry<'_>, context: Context) {
        let place = self.place(&entry.key_span);
        let message = format!("{} has no key {}", context.name(), quoted(&entry.key));
        let finding = Finding::at(UNKNOWN_KEY, place.clone(), message);
        let keys = || context.keys().map(|row| row.key);
        let near = nearest(&entry.key, keys());
        self.suggested.extend(near.map(|near| (mapping, near)));
        self.report(match near {
            Some(near) => finding.help(format!("did you mean `{near}`?")).meant(place, &entry.key, near, keys()),
            None => finding.help(format!("its keys are {}", listed(keys()))),
        });
    }

    /// Reports that a required key is missing from what stands at `range`.
    pub(super) fn missing(&mut self, range: &Range<usize>, what: &str, key: &str, help: &str) {
        if !self.whole(range) || self.suggested.iter().any(|(mapping, near)| *mapping == range.start && *near == key) {
            return;
        }
        // The first line is enough to mark: a mapping may be long.
        let text = self.file.text.get(range.clone()).unwrap_or_default();
        let line = text.find(['\n', '\r']).unwrap_or(text.len());
        self.error(MISSING_KEY, &(range.start..range.start + line), format!("{what} has no `{key}`"), help);
    }

    pub(super) fn mapping<'n, 'a>(&mut self, node: &'n Node<'a>, what: &str) -> Option<&'n [Entry<'a>]> {
        match &node.kind {
            NodeKind::Mapping(entries) => Some(entries),
            _ => self.wrong(node, what, "a mapping", "write `key: value` lines below it, or `{}` for an empty one"),
        }
    }

    pub(super) fn list<'n, 'a>(&mut self, node: &'n Node<'a>, what: &str) -> Option<&'n [Node<'a>]> {
        match &node.kind {
            NodeKind::List(items) => Some(items),
            kind => {
                let wrong = self.wrong(node, what, "a list", "write `- ` before each entry, or `[]` for an empty list");
                let text = self.file.text.get(node.span.clone()).unwrap_or_default();
                // In brackets fewer characters can go without quotes.
                let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
                let single = match kind {
                    NodeKind::Scalar(scalar) if scalar.style == ScalarStyle::Plain => {
                        !is_null(scalar) && text.bytes().all(word)
                    }
                    NodeKind::Scalar(scalar) => text.starts_with(['"', '\'']) && !scalar.text.is_empty(),
                    NodeKind::List(_) | NodeKind::Mapping(_) | NodeKind::Refused => false,
                };
                self.mend(node, (single && !text.contains('\n')).then(|| format!("[{text}]")));
                wrong
            }
        }
    }

    /// Text as it is written: `id: 7` is the text `7`. Nothing at all is no text.
    pub(super) fn scalar<'n, 'a>(&mut self, node: &'n Node<'a>, what: &str) -> Option<&'n Scalar<'a>> {
        match &node.kind {
            NodeKind::Scalar(scalar) if !is_null(scalar) => Some(scalar),
            _ => self.wrong(
                node,
                what,
                "text",
                "write the text behind the key, in quotes where it has special characters",
            ),
        }
    }

    pub(super) fn string(&mut self, node: &Node<'_>, what: &str) -> Option<Spanned<String>> {
        let value = self.scalar(node, what)?.text.clone().into_owned();
        Some(Spanned { value, span: node.span.clone() })
    }

    /// Text that is not empty or blank.
    pub(super) fn filled(&mut self, node: &Node<'_>, what: &str) -> Option<Spanned<String>> {
        let text = self.string(node, what)?;
        if text.value.trim().is_empty() {
            self.error(EMPTY, &node.span, format!("{what} is empty"), "");
            return None;
        }
        Some(text)
    }

    /// Text that findings will point into.
    pub(super) fn located(&mut self, node: &Node<'_>, what: &str) -> Option<Text> {
        let scalar = self.scalar(node, what)?;
        if scalar.text.trim().is_empty() {
            self.error(EMPTY, &node.span, format!("{what} is empty"), "");
            return None;
        }
        let segments = crate::source::scalar::segments(&self.file.text, &node.span, scalar);
        Some(Text { value: scalar.text.clone().into_owned(), span: node.span.clone(), segments })
    }

    pub(super) fn boolean(&mut self, node: &Node<'_>, what: &str) -> Option<bool> {
        match &node.kind {
            NodeKind::Scalar(scalar) if scalar.style == ScalarStyle::Plain && scalar.text == "true" => Some(true),
            NodeKind::Scalar(scalar) if scalar.style == ScalarStyle::Plain && scalar.text == "false" => Some(false),
            kind => {
                let meant = match kind {
                    NodeKind::Scalar(scalar) => match scalar.text.to_ascii_lowercase().as_str() {
                        "true" | "yes" | "on" => Some("true"),
                        "false" | "no" | "off" => Some("false"),
                        _ => None,
                    },
                    NodeKind::List(_) | NodeKind::Mapping(_) | NodeKind::Refused => None,
                };
                let help = "write `true` or `false`, in lower case and without quotes";
                let wrong = self.wrong(node, what, "`true` or `false`", help);
                self.mend(node, meant.map(str::to_owned));
                wrong
            }
        }
    }

    pub(super) fn integer(&mut self, node: &Node<'_>, what: &str, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let NodeKind::Scalar(scalar) = &node.kind else {
            return self.wrong(node, what, "a whole number", "write a number");
        };
        if scalar.style != ScalarStyle::Plain || is_null(scalar) {
            let wrong = self.wrong(node, what, "a whole number", "write a number without quotes");
            self.mend(
                node,
                decimal(&scalar.text).filter(|number| range.contains(number)).map(|number| number.to_string()),
            );
            return wrong;
        }
        match decimal(&scalar.text).filter(|number| range.contains(number)) {
            Some(number) => Some(number),
            None => {
                let help = if range == (i64::MIN..=i64::MAX) {
                    "write a whole number in decimal, such as `100`".to_owned()
                } else {
                    format!("write a decimal number from {} to {}", range.start(), range.end())
                };
                self.error(NUMBER, &node.span, format!("{what} cannot be {}", quoted(&scalar.text)), &help);
                None
            }
        }
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&mut self, node: &Node<'_>, what: &str, choices: &[(&str, T)]) -> Option<Spanned<T>> {
        let text = self.string(node, what)?;
        if let Some((_, value)) = choices.iter().find(|(name, _)| *name == text.value) {
            return Some(Spanned { value: *value, span: text.span });
        }
        let names = choices.iter().map(|(name, _)| *name);
        let place = self.place(&node.span);
        let finding = Finding::at(UNKNOWN_VALUE, place.clone(), format!("{what} cannot be {}", quoted(&text.value)));
        self.report(match nearest(&text.value, names.clone()) {
            Some(near) => {
                let help = format!("did you mean `{near}`? It is one of {}", listed(names.clone()));
                finding.help(help).meant(place, &text.value, near, names)
            }
            None => finding.help(format!("it is one of {}", listed(names))),
        });
        None
    }

    /// Gives the finding just made about a whole node what to write instead.
    fn mend(&mut self, node: &Node<'_>, replacement: Option<String>) {
        let place = self.place(&node.span);
        if let (Some(last), Some(replacement)) = (self.findings.last_mut(), replacement) {
            last.fix = Some(Fix { span: place, replacement });
        }
    }

    fn wrong<T>(&mut self, node: &Node<'_>, what: &str, expected: &str, help: &str) -> Option<T> {
        let found = match &node.kind {
            NodeKind::Refused => return None,
            NodeKind::List(_) => "a list",
            NodeKind::Mapping(_) => "a mapping",
            NodeKind::Scalar(scalar) if is_null(scalar) => "nothing",
            NodeKind::Scalar(_) => "text",
        };
        let text = self.file.text.get(node.span.clone()).unwrap_or_default();
        let line = text.find(['\n', '\r']).unwrap_or(text.len());
        let range = node.span.start..node.span.start + line;
        let message = match &node.kind {
            NodeKind::Scalar(scalar) if !is_null(scalar) => {
                let text = if scalar.style == ScalarStyle::Plain { "" } else { "the text " };
                format!("{what} must be {expected}, not {text}{}", quoted(&scalar.text))
            }
            _ => format!("{what} must be {expected}, not {found}"),
        };
        self.error(WRONG_KIND, &range, message, help);
        None
    }
}

/// Whether a scalar stands for nothing (YAML 1.2.2, section 10.3.2).
pub(super) fn is_null(scalar: &Scalar<'_>) -> bool {
    scalar.style == ScalarStyle::Plain && matches!(&*scalar.text, "" | "~" | "null" | "Null" | "NULL")
}

/// A decimal number that every reader takes for the same: no leading zeros, no sign but a minus.
pub(super) fn decimal(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let canonical = digits == "0" && text == "0" || !digits.starts_with('0');
    (canonical && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// Names as a help text lists them.
pub(crate) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_with_one_reading_are_numbers() {
        for (text, number) in
            [("0", Some(0)), ("7", Some(7)), ("-7", Some(-7)), ("9223372036854775807", Some(i64::MAX))]
        {
            assert_eq!(decimal(text), number, "{text}");
        }
        for text in
            ["", "-", "-0", "00", "010", "+1", "0x10", "0o7", "1_000", "1e3", "1.0", "9223372036854775808", " 1", "١"]
        {
            assert_eq!(decimal(text), None, "{text}");
        }
    }
}
