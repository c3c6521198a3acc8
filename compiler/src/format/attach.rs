//! Which comment belongs to what: the tree of a file with its comments attached, so that both move together.

use std::borrow::Cow;
use std::ops::Range;

use granit_parser::ScalarStyle;

use super::scalar::{self, Place, Written};
use crate::source::yaml::{Entry, Node, NodeKind, Scalar};
use crate::syntax::keys::{Below, Context};

/// A comment on a line of its own.
#[derive(Debug)]
pub(super) struct Comment<'a> {
    /// Its text, from the `#`.
    pub(super) text: &'a str,
    /// Whether an empty line stands before it.
    pub(super) spaced: bool,
}

/// A key with its value, or an item of a list.
#[derive(Debug)]
pub(super) struct Part<'a> {
    /// The comments above it.
    pub(super) above: Vec<Comment<'a>>,
    /// Whether an empty line stands between it and what is above it.
    pub(super) spaced: bool,
    /// The key as it is written; `None` for an item.
    pub(super) key: Option<String>,
    /// The value.
    pub(super) value: Value<'a>,
    /// The comment behind it on its line.
    pub(super) behind: Option<&'a str>,
}

/// A value.
#[derive(Debug)]
pub(super) enum Value<'a> {
    /// Text, or a collection in brackets on one line.
    Written(Written),
    /// A collection below its key.
    Block(Collection<'a>),
}

/// A list or mapping in block style.
#[derive(Debug)]
pub(super) struct Collection<'a> {
    /// Its parts, in the order in which they are printed.
    pub(super) parts: Vec<Part<'a>>,
    /// The comments behind the last of them.
    pub(super) tail: Vec<Comment<'a>>,
    /// Where empty lines stand.
    pub(super) spacing: Spacing,
}

/// Where empty lines stand between the parts of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spacing {
    /// One between any two parts.
    Always,
    /// Where there was one.
    AsWritten,
    /// Nowhere.
    Never,
}

/// Attaches the comments to the tree.
pub(super) fn attach<'a>(
    text: &'a str,
    root: &Node<'_>,
    context: Context,
    comments: &'a [Range<usize>],
) -> Collection<'a> {
    let mut attacher = Attacher { text, comments, last: 0 };
    attacher.collection(root, Some(Below::One(context)), &Around { until: text.len(), column: None, flow: false })
}

/// Where a collection stands.
struct Around {
    /// Where the next thing after it begins.
    until: usize,
    /// The column of the collection that it stands in.
    column: Option<usize>,
    /// Whether it stands between brackets.
    flow: bool,
}

struct Attacher<'a> {
    text: &'a str,
    /// The comments that are not attached yet.
    comments: &'a [Range<usize>],
    /// Where what was seen last ends.
    last: usize,
}

impl<'a> Attacher<'a> {
    fn slice(&self, range: Range<usize>) -> &'a str {
        self.text.get(range).unwrap_or_default()
    }

    fn column(&self, at: usize) -> usize {
        let before = self.text.get(..at).unwrap_or_default();
        at - before.rfind('\n').map_or(0, |line| line + 1)
    }

    /// Whether a line without anything on it stands before `at`.
    fn spaced(&self, at: usize) -> bool {
        let lines: Vec<&str> = self.slice(self.last..at).split('\n').collect();
        let inner = lines.get(1..lines.len().saturating_sub(1)).unwrap_or_default();
        self.last > 0 && inner.iter().any(|line| line.trim().is_empty())
    }

    /// The next comment, if it begins before `limit` and `fits`.
    fn next(&mut self, limit: usize, fits: impl FnOnce(&Self, usize) -> bool) -> Option<Comment<'a>> {
        let (first, rest) = self.comments.split_first()?;
        if first.start >= limit || !fits(self, first.start) {
            return None;
        }
        let comment = Comment { text: self.slice(first.clone()).trim_end(), spaced: self.spaced(first.start) };
        self.comments = rest;
        self.last = first.end;
        Some(comment)
    }

    fn all(&mut self, limit: usize) -> Vec<Comment<'a>> {
        std::iter::from_fn(|| self.next(limit, |_, _| true)).collect()
    }

    /// The comment on the line on which the last thing ended.
    fn behind(&mut self) -> Option<&'a str> {
        let from = self.last;
        let adjoins = |this: &Self, at| this.slice(from..at).chars().all(|c| matches!(c, ' ' | '\t' | ',' | ']' | '}'));
        self.next(self.text.len(), adjoins).map(|comment| comment.text)
    }

    /// The comments behind the last part of a collection.
    fn tail(&mut self, end: Option<usize>, own: usize, around: &Around) -> Vec<Comment<'a>> {
        if let Some(end) = end {
            return self.all(end);
        }
        let deeper = |column: usize| column >= own && around.column.is_none_or(|outer| column > outer);
        let followed = around.until < self.text.len();
        let fits = |this: &Self, at: usize| {
            let request = this.slice(at..this.text.len()).trim_start_matches('#').trim_start().starts_with("outcall:");
            // A suppression holds for what follows it, wherever it is indented.
            deeper(this.column(at)) && !(request && followed)
        };
        std::iter::from_fn(|| self.next(around.until, fits)).collect()
    }

    fn collection(&mut self, node: &Node<'_>, below: Option<Below>, around: &Around) -> Collection<'a> {
        let flow = around.flow || self.slice(node.span.clone()).starts_with(['[', '{']);
        let own = self.column(node.span.start);
        let mut parts = Vec::new();
        let spacing = match &node.kind {
            NodeKind::Mapping(entries) => {
                let context = match below {
                    Some(Below::One(context)) => Some(context),
                    _ => None,
                };
                for (at, entry) in entries.iter().enumerate() {
                    let until = entries.get(at + 1).map_or(around.until, |next| next.key_span.start);
                    parts.push(self.entry(entry, context, &Around { until, column: Some(own), flow }));
                }
                match context {
                    Some(Context::File | Context::PresetFile) => Spacing::Always,
                    Some(_) => Spacing::Never,
                    None => Spacing::AsWritten,
                }
            }
            NodeKind::List(items) => {
                let each = match below {
                    Some(Below::Each(context)) => Some(Below::One(context)),
                    _ => None,
                };
                for (at, item) in items.iter().enumerate() {
                    let next = items.get(at + 1).map(|next| {
                        if flow { next.span.start } else { self.find(b"-", item.span.end..next.span.start) }
                    });
                    let until = next.unwrap_or(around.until);
                    parts.push(self.item(item, each, &Around { until, column: Some(own), flow }));
                }
                if each == Some(Below::One(Context::Rule)) { Spacing::Always } else { Spacing::AsWritten }
            }
            NodeKind::Scalar(_) | NodeKind::Refused => Spacing::AsWritten,
        };
        let tail = self.tail(flow.then_some(node.span.end), own, around);
        let mut collection = Collection { parts, tail, spacing };
        if let Some(Below::One(context)) = below {
            order(&mut collection.parts, context);
        }
        collection
    }

    /// The first of some characters between two places that is not in a comment; the second place if there is none.
    fn find(&self, wanted: &[u8], range: Range<usize>) -> usize {
        let mut at = range.start;
        let mut comments = self.comments.iter().peekable();
        while at < range.end {
            while comments.next_if(|comment| comment.end <= at).is_some() {}
            if let Some(comment) = comments.peek().filter(|comment| comment.contains(&at)) {
                at = comment.end;
                continue;
            }
            if self.text.as_bytes().get(at).is_some_and(|byte| wanted.contains(byte)) {
                return at;
            }
            at += 1;
        }
        range.end
    }

    fn entry(&mut self, entry: &Entry<'_>, context: Option<Context>, around: &Around) -> Part<'a> {
        let above = self.all(entry.key_span.start);
        let spaced = self.spaced(entry.key_span.start);
        self.last = entry.key_span.end;
        let raw = self.slice(entry.key_span.clone());
        let mut part = Part {
            above,
            spaced,
            key: Some(scalar::key(raw, &entry.key)),
            value: Value::Written(Written::Line(String::new())),
            behind: None,
        };
        let below = context.and_then(|context| context.below(&entry.key));
        if matches!(context, Some(Context::File | Context::PresetFile)) && entry.key == "version" {
            self.comments_of_scalar(&mut part, &entry.value);
            part.value = Value::Written(Written::Line("\"1\"".to_owned()));
            self.end(&mut part, entry.value.span.end);
        } else {
            self.value(&mut part, entry.key_span.end, &entry.value, below, around);
        }
        part
    }

    fn item(&mut self, item: &Node<'_>, below: Option<Below>, around: &Around) -> Part<'a> {
        let begin = match &item.kind {
            // The header of a block scalar may have a comment behind it.
            NodeKind::Scalar(written) if is_block(written) => self.find(b"|>", self.last..item.span.start),
            _ => item.span.start,
        };
        let above = self.all(begin);
        let spaced = self.spaced(begin);
        let value = Value::Written(Written::Line(String::new()));
        let mut part = Part { above, spaced, key: None, value, behind: None };
        self.value(&mut part, begin, item, below, around);
        // What would stand between the dash and the first key stands above the dash.
        if let Value::Block(collection) = &mut part.value {
            part.above.extend(part.behind.take().map(|text| Comment { text, spaced: false }));
            if let Some(first) = collection.parts.first_mut() {
                part.above.extend(first.above.drain(..).map(|comment| Comment { spaced: false, ..comment }));
            }
        }
        part
    }

    fn value(&mut self, part: &mut Part<'a>, from: usize, node: &Node<'_>, below: Option<Below>, around: &Around) {
        let raw = self.slice(node.span.clone());
        let place = if around.flow { Place::Flow } else { Place::Block };
        match &node.kind {
            NodeKind::Scalar(written) => {
                let header = if is_block(written) { self.find(b"|>", from..node.span.start) } else { node.span.start };
                self.comments_of_scalar(part, node);
                let header = self.slice(header..node.span.start);
                // In block style nothing is between brackets any more.
                part.value = Value::Written(scalar::written(header, raw, written, Place::Block));
            }
            _ if is_empty(node) => {
                part.above.extend(self.all(node.span.end));
                part.value = Value::Written(Written::Line(self.flow(node)));
            }
            _ if !raw.contains('\n') && (place == Place::Flow || raw.starts_with(['[', '{'])) => {
                self.comments_of_scalar(part, node);
                part.value = Value::Written(Written::Line(self.flow(node)));
            }
            _ => {
                let line = self.slice(from..node.span.start).find('\n').map_or(node.span.start, |at| from + at);
                if part.key.is_some() {
                    part.behind = self.next(line, |_, _| true).map(|comment| comment.text);
                }
                part.value = Value::Block(self.collection(node, below, around));
            }
        }
        self.end(part, node.span.end);
    }

    /// Comments between a key and its value: the last goes behind the value, the others above the key.
    fn comments_of_scalar(&mut self, part: &mut Part<'a>, node: &Node<'_>) {
        let mut between = self.all(node.span.start);
        part.behind = between.pop().map(|comment| comment.text);
        part.above.extend(between.into_iter().map(|comment| Comment { spaced: false, ..comment }));
    }

    fn end(&mut self, part: &mut Part<'a>, end: usize) {
        self.last = self.last.max(end);
        if let Some(text) = self.behind()
            && let Some(earlier) = part.behind.replace(text)
        {
            part.above.push(Comment { text: earlier, spaced: false });
        }
    }

    /// A collection in brackets, on one line.
    fn flow(&self, node: &Node<'_>) -> String {
        match &node.kind {
            NodeKind::Scalar(written) => match scalar::line(self.slice(node.span.clone()), written, Place::Flow) {
                text if text.is_empty() => "null".to_owned(),
                text => text,
            },
            NodeKind::List(items) => {
                format!("[{}]", items.iter().map(|item| self.flow(item)).collect::<Vec<_>>().join(", "))
            }
            NodeKind::Mapping(entries) if entries.is_empty() => "{}".to_owned(),
            NodeKind::Mapping(entries) => {
                let entry = |entry: &Entry<'_>| {
                    let key = scalar::key(self.slice(entry.key_span.clone()), &entry.key);
                    format!("{key}: {}", self.flow(&entry.value))
                };
                format!("{{ {} }}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
            }
            NodeKind::Refused => String::new(),
        }
    }
}

fn is_block(scalar: &Scalar<'_>) -> bool {
    matches!(scalar.style, ScalarStyle::Literal | ScalarStyle::Folded)
}

fn is_empty(node: &Node<'_>) -> bool {
    match &node.kind {
        NodeKind::List(items) => items.is_empty(),
        NodeKind::Mapping(entries) => entries.is_empty(),
        NodeKind::Scalar(_) | NodeKind::Refused => false,
    }
}

/// Brings the keys of a mapping into the order of the documentation. Not where a suppression of the key that would come
/// first would then hold for the whole.
fn order(parts: &mut [Part<'_>], context: Context) {
    let place = |part: &Part<'_>| {
        let key = part.key.as_deref().map(|key| Cow::Borrowed(key.trim_matches(['"', '\''])));
        context.keys().position(|row| key.as_deref() == Some(row.key))
    };
    let first = parts.iter().enumerate().min_by_key(|(at, part)| (place(part), *at));
    let suppresses = |comment: &Comment<'_>| comment.text.contains("outcall:");
    if first.is_none_or(|(at, part)| at > 0 && part.above.iter().any(suppresses)) {
        return;
    }
    parts.sort_by_key(place);
}
