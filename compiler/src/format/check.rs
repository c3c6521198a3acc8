//! Whether two layouts say the same: their trees, their comments and what the comments suppress.

use std::sync::Arc;

use granit_parser::ScalarStyle;

use crate::diag::{SourceFile, SourceSpan};
use crate::source::yaml::{self, Document, Entry, Node, NodeKind, Scalar};

/// Whether `text` says what `file` says, whose tree is `document`.
pub(super) fn same(file: &Arc<SourceFile>, document: &Document<'_>, text: &str) -> bool {
    let other = SourceFile::with_path(file.name.as_str(), file.path.as_str(), text);
    let (read, _) = yaml::read(&other);
    let (Some(left), Some(right)) = (&document.root, &read.root) else { return false };
    let hashes = |text: &str| text.bytes().filter(|byte| *byte == b'#').count();
    // Counted without the reader, so that a comment it does not report is missed too.
    read.cut.is_empty()
        && hashes(&file.text) == hashes(text)
        && comments(&file.text, document) == comments(text, &read)
        && root(left, right)
        && suppressions(document, left) == suppressions(&read, right)
}

fn comments<'a>(text: &'a str, document: &Document<'_>) -> Vec<&'a str> {
    let mut comments: Vec<&str> =
        document.comments.iter().filter_map(|range| text.get(range.clone())).map(str::trim_end).collect();
    comments.sort_unstable();
    comments
}

/// The root's `version` may be the number or the text.
fn root(left: &Node<'_>, right: &Node<'_>) -> bool {
    match (&left.kind, &right.kind) {
        (NodeKind::Mapping(left), NodeKind::Mapping(right)) => {
            entries(left, right, |key, left, right| match (&left.kind, &right.kind) {
                (NodeKind::Scalar(left), NodeKind::Scalar(right)) if key == "version" => left.text == right.text,
                _ => value(left, right),
            })
        }
        _ => false,
    }
}

fn entries(left: &[Entry<'_>], right: &[Entry<'_>], same: impl Fn(&str, &Node<'_>, &Node<'_>) -> bool) -> bool {
    let sorted = |entries: &[Entry<'_>]| {
        let mut places: Vec<usize> = (0..entries.len()).collect();
        places.sort_by_key(|at| entries.get(*at).map(|entry| entry.key.clone().into_owned()));
        places
    };
    left.len() == right.len()
        && sorted(left).into_iter().zip(sorted(right)).all(|(left_at, right_at)| {
            left.get(left_at)
                .zip(right.get(right_at))
                .is_some_and(|(left, right)| left.key == right.key && same(&left.key, &left.value, &right.value))
        })
}

fn value(left: &Node<'_>, right: &Node<'_>) -> bool {
    match (&left.kind, &right.kind) {
        (NodeKind::Scalar(left), NodeKind::Scalar(right)) => meaning(left) == meaning(right),
        (NodeKind::List(left), NodeKind::List(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| value(left, right))
        }
        (NodeKind::Mapping(left), NodeKind::Mapping(right)) => {
            entries(left, right, |_, left, right| value(left, right))
        }
        _ => false,
    }
}

/// What a scalar can be read as: nothing, or its text, where only a plain one may be a number or a boolean.
fn meaning<'a>(scalar: &'a Scalar<'_>) -> (bool, &'a str) {
    let plain = scalar.style == ScalarStyle::Plain;
    match &*scalar.text {
        "" | "~" | "null" | "Null" | "NULL" if plain => (true, ""),
        "true" | "false" => (plain, &scalar.text),
        text if text.starts_with(|first: char| first.is_ascii_digit() || first == '-') => (plain && number(text), text),
        "" | "~" | "null" | "Null" | "NULL" => (false, &scalar.text),
        text => (false, text),
    }
}

fn number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}

/// What is suppressed: the code, and the keys and places that lead to what it holds for.
fn suppressions(document: &Document<'_>, root: &Node<'_>) -> Vec<(&'static str, String)> {
    let mut found: Vec<_> = document
        .suppressions
        .iter()
        .map(|suppression| (suppression.code, path(root, &suppression.span).unwrap_or_default()))
        .collect();
    found.sort();
    found
}

fn path(node: &Node<'_>, wanted: &SourceSpan) -> Option<String> {
    let inside = |start: usize, end: usize| start <= wanted.start && wanted.end <= end;
    match &node.kind {
        NodeKind::List(items) => items.iter().enumerate().find_map(|(at, item)| {
            inside(item.span.start, item.span.end).then(|| {
                let here = (item.span.start, item.span.end) == (wanted.start, wanted.end);
                let rest = if here { None } else { path(item, wanted) };
                format!("/{at}{}", rest.unwrap_or_default())
            })
        }),
        NodeKind::Mapping(entries) => entries.iter().find_map(|entry| {
            let span = entry.span();
            inside(span.start, span.end).then(|| {
                let here = (span.start, span.end) == (wanted.start, wanted.end);
                let rest = if here { None } else { path(&entry.value, wanted) };
                format!("/{}{}", entry.key, rest.unwrap_or_default())
            })
        }),
        NodeKind::Scalar(_) | NodeKind::Refused => None,
    }
}
