//! Where what stands at the cursor is defined.

use std::ops::Range;
use std::sync::Arc;

use super::place::place;
use super::{around, word_at};
use crate::diag::{SourceFile, SourceSpan};
use crate::source::yaml::{self, NodeKind};
use crate::syntax;
use crate::syntax::keys::Context;

/// The definitions of a file, as far as it can be read: name, where it stands, condition.
pub(super) fn definitions(text: &str) -> Vec<(String, Range<usize>, String)> {
    let file = SourceFile::new("", text);
    let (document, _) = yaml::read(&file);
    let Some(NodeKind::Mapping(entries)) = document.root.map(|root| root.kind) else { return Vec::new() };
    let block = entries.into_iter().find(|entry| entry.key == "definitions").map(|entry| entry.value.kind);
    let Some(NodeKind::Mapping(entries)) = block else { return Vec::new() };
    let condition = |kind: &NodeKind<'_>| match kind {
        NodeKind::Scalar(scalar) => scalar.text.trim().to_owned(),
        NodeKind::List(_) | NodeKind::Mapping(_) | NodeKind::Refused => String::new(),
    };
    entries.iter().map(|entry| (entry.key.to_string(), entry.key_span.clone(), condition(&entry.value.kind))).collect()
}

/// The id of a rule that a test expects at `offset`, and where it stands.
pub(super) fn expected_rule(text: &str, offset: usize) -> Option<(String, Range<usize>)> {
    let here = place(text, offset);
    if here.context != Some(Context::Expect) || !matches!(here.key(), Some("rule" | "obligations")) {
        return None;
    }
    let within = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let range = around(text, offset, within);
    Some((text.get(range.clone())?.to_owned(), range)).filter(|(id, _)| !id.is_empty())
}

/// The definition of the `$name`, or the rule whose id a test expects, at `offset` of `file`. Rules are looked for in all of
/// `files`.
pub fn definition(file: &Arc<SourceFile>, offset: usize, files: &[Arc<SourceFile>]) -> Option<SourceSpan> {
    let word = word_at(&file.text, offset);
    if let Some(name) = file.text.get(word).and_then(|word| word.strip_prefix('$'))
        && place(&file.text, offset).is_condition()
    {
        let (_, span, _) = definitions(&file.text).into_iter().find(|(defined, _, _)| defined == name)?;
        return Some(SourceSpan { file: file.clone(), start: span.start, end: span.end });
    }
    let (wanted, _) = expected_rule(&file.text, offset)?;
    files.iter().find_map(|file| {
        let (rules, _) = syntax::read(file, yaml::read(file).0);
        let id = rules.rules.into_iter().filter_map(|rule| rule.id).find(|id| id.value == wanted)?;
        Some(SourceSpan { file: file.clone(), start: id.span.start, end: id.span.end })
    })
}
