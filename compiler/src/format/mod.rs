//! A rule file in its canonical layout, with every comment and the same meaning.
//!
//! The layout is made from the tree and the places that the project's own reader gives, never from a second reading: what a
//! rule says is copied from where it stands. What comes out is read again, and only used when it says the same.

mod attach;
mod check;
mod print;
mod scalar;

use std::sync::Arc;

use crate::diag::{Finding, SourceFile};
use crate::source::FILE_LIMIT_BYTES;
use crate::source::yaml::{self, Node, NodeKind};
use crate::syntax;
use crate::syntax::keys::Context;

/// Why a file keeps the layout it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unformatted {
    /// It cannot be read as a rule file: the errors in its YAML and its keys. Errors inside conditions do not matter here.
    Errors(Vec<Finding>),
    /// No other layout was found that is sure to say the same.
    Unsure,
}

/// The canonical layout of a file; equal to the file's text when it has it already.
///
/// # Errors
/// Why the file should be left as it is.
pub fn format(file: &Arc<SourceFile>) -> Result<String, Unformatted> {
    let (document, mut findings) = yaml::read(file);
    let context = document.root.as_ref().map_or(Context::File, context);
    let again = yaml::read(file).0;
    let mut found = match context {
        Context::PresetFile => syntax::read_preset(file, again).1,
        _ => syntax::read(file, again).1,
    };
    findings.append(&mut found);
    findings.retain(Finding::is_error);
    if !findings.is_empty() {
        crate::diag::sort(&mut findings);
        return Err(Unformatted::Errors(findings));
    }
    let Some(root) = &document.root else { return Err(Unformatted::Unsure) };
    let text = print::print(&attach::attach(&file.text, root, context, &document.comments));
    // A file at its limit may need more blanks than it has room for.
    let fits = text.len() <= FILE_LIMIT_BYTES;
    (fits && check::same(file, &document, &text)).then_some(text).ok_or(Unformatted::Unsure)
}

/// Whether the file is a preset's text, which has a head of its own.
fn context(root: &Node<'_>) -> Context {
    let head = |key: &str| Context::File.key(key).is_none() && Context::PresetFile.key(key).is_some();
    match &root.kind {
        NodeKind::Mapping(entries) if entries.iter().any(|entry| head(&entry.key)) => Context::PresetFile,
        _ => Context::File,
    }
}
