//! YAML as a tree in which every key and value has its place, without the parts of YAML that make a file read differently
//! from what it says: anchors, aliases, merge keys, tags, directives, several documents.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, StructureStyle};

use super::suppress::{self, Suppression};
use super::{NESTING_LIMIT, text};
use crate::diag::codes_files::{
    ANCHOR, DIRECTIVE, DUPLICATE_KEY, KEY_NOT_TEXT, MERGE_KEY, NESTED_TOO_DEEP, SEVERAL_DOCUMENTS, TAG, YAML_SYNTAX,
};
use crate::diag::{Finding, SourceFile, SourceSpan, quoted};

/// A file's tree and the suppressions in its comments.
#[derive(Debug, Default)]
pub struct Document<'a> {
    /// The root; `None` for a file without content, or one that is not YAML.
    pub root: Option<Node<'a>>,
    /// What `# outcall: allow` comments ask for.
    pub suppressions: Vec<Suppression>,
    /// Where the comments stand, each from its `#` to the end of its line, in the order of the file.
    pub comments: Vec<Range<usize>>,
    /// Where the lists and mappings begin that were still open when reading had to end: what they lack may be in the rest
    /// of the file. Empty for a file that was read whole.
    pub cut: Vec<usize>,
}

/// A value.
#[derive(Debug)]
pub struct Node<'a> {
    /// The bytes of the file it stands at. A block scalar's begin with its content.
    pub span: Range<usize>,
    /// What it is.
    pub kind: NodeKind<'a>,
}

/// What a value is.
#[derive(Debug)]
pub enum NodeKind<'a> {
    /// Text.
    Scalar(Scalar<'a>),
    /// A list.
    List(Vec<Node<'a>>),
    /// A mapping, in the order of the file. Keys are different from one another.
    Mapping(Vec<Entry<'a>>),
    /// Something that was refused and reported.
    Refused,
}

/// Text with what is needed to find its bytes in the file, see [`super::scalar`].
#[derive(Debug, Clone)]
pub struct Scalar<'a> {
    /// The text after YAML's escapes and folding.
    pub text: Cow<'a, str>,
    /// How it is written.
    pub style: ScalarStyle,
    /// The indent of a block scalar's content.
    pub indent: usize,
}

/// A key and its value.
#[derive(Debug)]
pub struct Entry<'a> {
    /// The key; empty when it was refused.
    pub key: Cow<'a, str>,
    /// Where the key stands.
    pub key_span: Range<usize>,
    /// The value.
    pub value: Node<'a>,
}

impl Entry<'_> {
    /// Key and value.
    pub fn span(&self) -> Range<usize> {
        self.key_span.start..self.value.span.end.max(self.key_span.end)
    }
}

/// Reads a file. Everything that is refused becomes a finding; only a syntax error ends the reading.
pub fn read(file: &Arc<SourceFile>) -> (Document<'_>, Vec<Finding>) {
    let mut builder =
        Builder { file, findings: text::check(file), open: Vec::new(), root: None, comments: Vec::new(), cut: None };
    builder.read();
    let Builder { mut findings, root, comments, cut, .. } = builder;
    let suppressions = suppress::collect(file, &comments, root.as_ref(), &mut findings);
    let mut comments: Vec<_> = comments.into_iter().map(|(range, _)| range).collect();
    comments.sort_by_key(|range| range.start);
    (Document { root, suppressions, comments, cut: cut.unwrap_or_default() }, findings)
}

/// A collection that is still open.
struct Open<'a> {
    node: Node<'a>,
    style: StructureStyle,
    /// In a mapping: the key that waits for its value.
    key: Option<(Cow<'a, str>, Range<usize>)>,
    /// In a mapping with many keys: where each stands.
    index: HashMap<Cow<'a, str>, Range<usize>>,
    /// How many entries are in the index.
    indexed: usize,
}

impl<'a> Open<'a> {
    /// Where this mapping already has `key`.
    fn earlier(&mut self, key: &str) -> Option<Range<usize>> {
        /// Up to here comparing is faster than hashing.
        const FEW: usize = 16;
        let NodeKind::Mapping(entries) = &self.node.kind else { return None };
        if key.is_empty() {
            return None;
        }
        if entries.len() < FEW {
            return entries.iter().find(|entry| entry.key == key).map(|entry| entry.key_span.clone());
        }
        for entry in entries.iter().skip(self.indexed) {
            self.index.entry(entry.key.clone()).or_insert_with(|| entry.key_span.clone());
        }
        self.indexed = entries.len();
        self.index.get(key).cloned()
    }
}

struct Builder<'a> {
    file: &'a Arc<SourceFile>,
    findings: Vec<Finding>,
    open: Vec<Open<'a>>,
    root: Option<Node<'a>>,
    comments: Vec<(Range<usize>, Cow<'a, str>)>,
    cut: Option<Vec<usize>>,
}

/// What happens after an event.
enum Then {
    Continue,
    Stop,
}

impl<'a> Builder<'a> {
    fn read(&mut self) {
        let options = granit_parser::options! {
            disallow_directives: true,
            emit_unresolved_aliases: true,
            emit_anchor_events: true,
            // A file's size bounds the comments in it.
            max_buffered_comment_events: super::FILE_LIMIT_BYTES,
        };
        let file: &'a SourceFile = self.file;
        let mut documents = 0_usize;
        for event in Parser::new_from_str_with_options(&file.text, options) {
            let then = match event {
                Ok((Event::DocumentStart(..), span)) => {
                    documents += 1;
                    self.document(documents, &span)
                }
                Ok((event, span)) => self.event(event, &span),
                Err(error) => {
                    self.syntax_error(&error);
                    Then::Stop
                }
            };
            if matches!(then, Then::Stop) {
                // Without a tree, its beginning is what was cut.
                let open = self.open.iter().map(|open| open.node.span.start);
                self.cut = Some(open.chain(self.root.is_none().then_some(0)).collect());
                break;
            }
        }
        // After an error the collections still open are closed as they are, so that what stands before it is checked too.
        while !self.open.is_empty() {
            self.close(None);
        }
    }

    fn document(&mut self, number: usize, span: &Span) -> Then {
        if number == 1 {
            return Then::Continue;
        }
        self.report(
            Finding::at(SEVERAL_DOCUMENTS, self.place(bytes(span)), "a second document begins here")
                .help("a rule file is one document; put these rules into a file of their own"),
        );
        Then::Stop
    }

    fn event(&mut self, event: Event<'a>, span: &Span) -> Then {
        let range = bytes(span);
        match event {
            Event::Scalar(text, style, _, tag) => {
                if self.tag(tag.is_some(), span) {
                    self.add(Node { span: range, kind: NodeKind::Refused });
                    return Then::Continue;
                }
                let indent = span.indent.unwrap_or_default();
                let range = if is_block(style) { trim_block(&self.file.text, range) } else { range };
                // An empty plain scalar arrives as `~`.
                let text = if style == ScalarStyle::Plain && range.is_empty() { Cow::Borrowed("") } else { text };
                self.add(Node { span: range, kind: NodeKind::Scalar(Scalar { text, style, indent }) });
            }
            Event::SequenceStart(style, _, tag) => {
                self.tag(tag.is_some(), span);
                return self.begin(Node { span: range, kind: NodeKind::List(Vec::new()) }, style);
            }
            Event::MappingStart(style, _, tag) => {
                self.tag(tag.is_some(), span);
                return self.begin(Node { span: range, kind: NodeKind::Mapping(Vec::new()) }, style);
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(Some(range)),
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.alias(range.clone());
                self.add(Node { span: range, kind: NodeKind::Refused });
            }
            Event::Anchor(..) => {
                let finding = Finding::at(ANCHOR, self.place(range), "YAML anchors are not part of the rule language");
                self.report(
                    finding.help("use `definitions:` for what several rules share; quote a value that begins with `&`"),
                );
            }
            Event::Comment(text, _) => self.comments.push((range, text)),
            _ => {}
        }
        Then::Continue
    }

    fn tag(&mut self, present: bool, span: &Span) -> bool {
        if present {
            let range = span.tag_span().as_ref().map_or_else(|| bytes(span), bytes);
            self.report(
                Finding::at(TAG, self.place(range), "YAML tags are not part of the rule language")
                    .help("put a value that begins with `!` in quotes"),
            );
        }
        present
    }

    fn alias(&mut self, range: Range<usize>) {
        let place = self.place(range.clone());
        let text = place.text().to_owned();
        let finding = Finding::at(ANCHOR, place.clone(), "YAML aliases are not part of the rule language");
        self.report(if text.starts_with("*.") || text.starts_with("**") {
            finding.help("put a host pattern in quotes").fix(place, format!("\"{text}\""))
        } else {
            finding.help("use `definitions:` for what several rules share; quote a value that begins with `*`")
        });
    }

    fn begin(&mut self, node: Node<'a>, style: StructureStyle) -> Then {
        if self.open.len() >= NESTING_LIMIT {
            self.too_deep(node.span);
            return Then::Stop;
        }
        self.open.push(Open { node, style, key: None, index: HashMap::new(), indexed: 0 });
        Then::Continue
    }

    fn close(&mut self, end: Option<Range<usize>>) {
        let Some(mut closed) = self.open.pop() else { return };
        if let (Some((key, key_span)), NodeKind::Mapping(entries)) = (closed.key.take(), &mut closed.node.kind) {
            // Only after a syntax error: the value never came.
            let value = Node { span: key_span.end..key_span.end, kind: NodeKind::Refused };
            entries.push(Entry { key, key_span, value });
        }
        let last = match &closed.node.kind {
            NodeKind::List(items) => items.last().map(|item| item.span.end),
            NodeKind::Mapping(entries) => entries.last().map(|entry| entry.span().end),
            NodeKind::Scalar(_) | NodeKind::Refused => None,
        };
        // A block collection's end event stands where the next thing begins.
        let end = match (closed.style, end) {
            (StructureStyle::Flow, Some(end)) => end.end,
            _ => last.unwrap_or(closed.node.span.end),
        };
        closed.node.span.end = end.max(closed.node.span.start);
        self.add(closed.node);
    }

    /// Puts a finished node where it belongs: the root, an item, a key or a value.
    fn add(&mut self, node: Node<'a>) {
        let Some(parent) = self.open.last_mut() else {
            self.root.get_or_insert(node);
            return;
        };
        match &mut parent.node.kind {
            NodeKind::List(items) => items.push(node),
            NodeKind::Mapping(entries) => match parent.key.take() {
                Some((key, key_span)) => entries.push(Entry { key, key_span, value: node }),
                None => self.key(node),
            },
            NodeKind::Scalar(_) | NodeKind::Refused => {}
        }
    }

    fn key(&mut self, node: Node<'a>) {
        let place = self.place(node.span.clone());
        // A key that is refused becomes the empty one, which nothing else can be.
        let key = match node.kind {
            NodeKind::Scalar(Scalar { text, style: ScalarStyle::Plain, .. }) if text == "<<" => {
                self.report(
                    Finding::at(MERGE_KEY, place.clone(), "YAML merge keys are not part of the rule language")
                        .help("write the keys out, or use `definitions:` for what several rules share"),
                );
                Cow::Borrowed("")
            }
            NodeKind::Scalar(Scalar { text, .. }) if !text.is_empty() => text,
            NodeKind::Refused => Cow::Borrowed(""),
            NodeKind::Scalar(_) | NodeKind::List(_) | NodeKind::Mapping(_) => {
                let finding = Finding::at(KEY_NOT_TEXT, place.clone(), "a key must be text, and not empty");
                self.report(finding.help("write `key: value`"));
                Cow::Borrowed("")
            }
        };
        let Some(parent) = self.open.last_mut() else { return };
        let earlier = parent.earlier(&key);
        if let Some(first) = earlier {
            let line = self.file.line(first.start);
            let message = format!("the key {} is given twice", quoted(&key));
            self.findings.push(
                Finding::at(DUPLICATE_KEY, place, message)
                    .help(format!("it is first given on line {line}; remove one")),
            );
        }
        if let Some(parent) = self.open.last_mut() {
            parent.key = Some((key, node.span));
        }
    }

    fn too_deep(&mut self, range: Range<usize>) {
        let message = format!("lists and mappings are nested more than {NESTING_LIMIT} deep");
        self.report(
            Finding::at(NESTED_TOO_DEEP, self.place(range), message)
                .help("no rule needs this; the rest of the file was not read"),
        );
    }

    fn syntax_error(&mut self, error: &ScanError) {
        let offset = error.marker().byte_offset().unwrap_or(self.file.text.len()).min(self.file.text.len());
        let rest = self.file.text.get(offset..).unwrap_or_default();
        let width = rest.chars().next().filter(|character| !character.is_whitespace()).map_or(0, char::len_utf8);
        let range = offset..offset + width;
        match error.kind() {
            ErrorKind::RecursionLimitExceeded => self.too_deep(range),
            ErrorKind::DirectiveDisallowed => {
                let finding =
                    Finding::at(DIRECTIVE, self.place(range), "YAML directives are not part of the rule language");
                self.report(finding.help("remove the line; quote a value that begins with `%`"));
            }
            // Already reported, as a character that has no place in a rule file.
            ErrorKind::UnexpectedCharacter { .. } if self.findings.iter().any(|finding| reported(finding, offset)) => {}
            kind => {
                let message = format!("not valid YAML: {}", words(&kind.to_string()));
                let finding = Finding::at(YAML_SYNTAX, self.place(range), message);
                self.report(finding.help(syntax_help(kind)));
            }
        }
    }

    fn place(&self, range: Range<usize>) -> SourceSpan {
        SourceSpan { file: self.file.clone(), start: range.start, end: range.end }
    }

    fn report(&mut self, finding: Finding) {
        self.findings.push(finding);
    }
}

fn reported(finding: &Finding, offset: usize) -> bool {
    finding.span.as_ref().is_some_and(|span| span.start == offset)
}

fn bytes(span: &Span) -> Range<usize> {
    span.byte_range().unwrap_or_default()
}

fn is_block(style: ScalarStyle) -> bool {
    matches!(style, ScalarStyle::Literal | ScalarStyle::Folded)
}

/// A block scalar's span goes on to the next thing; its content ends with its last line that is not empty.
fn trim_block(text: &str, range: Range<usize>) -> Range<usize> {
    let content = text.get(range.clone()).unwrap_or_default();
    let shown = content.trim_end_matches([' ', '\t', '\r', '\n']).len();
    let rest = content.get(shown..).unwrap_or_default();
    let line_end = rest.find(['\r', '\n']).unwrap_or(rest.len());
    range.start..range.start + shown + line_end
}

/// The parser's words in our style: lower case at the beginning, straight quotes, no article of its internals.
fn words(message: &str) -> String {
    let mut message = message.replace('`', "'");
    if let Some(first) = message.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    message
}

fn syntax_help(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidTrailingDoubleQuotedScalar | ErrorKind::InvalidTrailingSingleQuotedScalar => {
            "a value that begins with a quote ends at its closing quote; put the whole of it in quotes of the other kind, \
             or write it below `|-`"
        }
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidSimpleKey | ErrorKind::SimpleKeyExpected => {
            "put a value that holds `: ` in quotes, and check the indentation"
        }
        ErrorKind::UnclosedFlowCollection { .. }
        | ErrorKind::MismatchedFlowCollectionEnd { .. }
        | ErrorKind::MisplacedFlowCollectionEnd => {
            "every `[` and `{` needs its `]` or `}`; put a text that holds one in quotes"
        }
        ErrorKind::UnclosedQuotedScalar => "add the closing quote",
        ErrorKind::TabInIndentation | ErrorKind::TabInBlockIndentation | ErrorKind::TabNotAllowed => {
            "indent with blanks, not with tabs"
        }
        ErrorKind::UnexpectedCharacter { .. } => "put a value that begins with this character in quotes",
        ErrorKind::UnknownQuotedScalarEscape => {
            "inside double quotes a backslash begins an escape; use single quotes for text with backslashes"
        }
        _ => "check the quotes and the indentation around here; the rest of the file was not read",
    }
}
