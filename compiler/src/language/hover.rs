//! What stands at the cursor, in words.

use std::ops::Range;

use outcall_schema::field::{FIELDS, FieldRow};

use super::place::{Position, place};
use super::{around, define, word_at};
use crate::cel::reference::FUNCTIONS;
use crate::diag::row;
use crate::syntax::keys::Context;

/// What is known of what stands at `offset`, as Markdown, and its bytes.
pub fn hover(text: &str, offset: usize) -> Option<(String, Range<usize>)> {
    if let Some(found) = code(text, offset) {
        return Some(found);
    }
    let here = place(text, offset);
    if here.is_condition() {
        return condition(text, offset);
    }
    let within = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let range = around(text, offset, within);
    let word = text.get(range.clone()).filter(|word| !word.is_empty())?;
    match (here.position, here.context) {
        (Position::Key, Some(context)) => {
            let row = context.key(word)?;
            let text = format!(
                "**`{word}`** of {}\n\n{}\n\nTakes: {}. When left out: {}.",
                context.name(),
                row.doc,
                row.takes,
                row.default
            );
            Some((text, range))
        }
        (Position::Key, None) => {
            let namespace = here.path.iter().skip_while(|key| *key != "request").nth(1)?;
            let row = FIELDS.iter().find(|row| row.name == format!("{namespace}.{word}"))?;
            Some((field(row), range))
        }
        (Position::Value, Some(Context::Rule | Context::Egress | Context::Hold | Context::Expect | Context::Test)) => {
            let row = here.context?.key(here.key()?)?;
            Some((format!("**`{}`**\n\n{}\n\nTakes: {}.", row.key, row.doc, row.takes), range))
        }
        (Position::Value, _) => None,
    }
}

/// A diagnostic's code, in a comment that suppresses it.
fn code(text: &str, offset: usize) -> Option<(String, Range<usize>)> {
    let range = around(text, offset, |byte| byte.is_ascii_alphanumeric());
    let row = row(text.get(range.clone())?)?;
    Some((format!("**{}** ({}): {}\n\n{}", row.code, row.severity.name(), row.title, row.explain), range))
}

fn field(row: &FieldRow) -> String {
    let layers: Vec<String> = row.layers.iter().map(|(layer, _)| format!("`{layer}`")).collect();
    format!(
        "**`{}`**: {}\n\n{}\n\nFor example: `{}`. Known at {}.",
        row.name,
        row.ty.name(),
        row.doc,
        row.example,
        layers.join(", ")
    )
}

fn condition(text: &str, offset: usize) -> Option<(String, Range<usize>)> {
    let range = word_at(text, offset);
    let word = text.get(range.clone()).filter(|word| !word.is_empty())?;
    if let Some(name) = word.strip_prefix('$') {
        let (_, _, condition) = define::definitions(text).into_iter().find(|(defined, _, _)| defined == name)?;
        return Some((format!("**`${name}`**, a definition of this file\n\n```cel\n{condition}\n```"), range));
    }
    // The part of a dotted name that the cursor is in, and what leads to it: `http.headers.accept`, `http.host.size`.
    let part = around(text, offset, |byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let called = text.get(part.end..).is_some_and(|rest| rest.starts_with('('));
    let name = text.get(part.clone()).unwrap_or_default();
    if let Some(row) = FUNCTIONS.iter().find(|row| called && row.name == name) {
        let text = format!("**`{}`**: {}\n\n{}\n\nFor example: `{}`", row.name, row.types, row.doc, row.example);
        return Some((text, part));
    }
    let fits =
        |row: &&FieldRow| word.strip_prefix(row.name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let row = FIELDS.iter().filter(fits).max_by_key(|row| row.name.len())?;
    let range = range.start..range.start + row.name.len();
    (offset <= range.end).then(|| (field(row), range))
}
