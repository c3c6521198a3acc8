//! Findings: what is wrong with a policy, where, and what to write instead.

pub mod codes;
mod codes_files;

use std::sync::Arc;

pub use codes::{CodeRow, Example, codes, row};

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The policy cannot be compiled.
    Error,
    /// The policy compiles but very likely does not do what its author wants. Fails with `--deny warnings`.
    Warning,
    /// Worth knowing.
    Note,
}

/// A place in a rule file: a range of bytes. Lines and columns follow from the file's text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SourceSpan {
    /// The file.
    pub file: Arc<SourceFile>,
    /// The first byte.
    pub start: usize,
    /// The byte after the last; equal to `start` for a point.
    pub end: usize,
}

/// A rule file's name and text.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct SourceFile {
    /// The path as it is shown, relative to the directory compiled.
    pub name: String,
    /// The text.
    pub text: String,
}

/// A replacement that mends a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// What to replace.
    pub span: SourceSpan,
    /// By what.
    pub replacement: String,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The stable code, `OC0001`.
    pub code: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What is wrong, one line, lower case, no full stop, user's names in backticks.
    pub message: String,
    /// Where; `None` for a finding about a whole directory.
    pub span: Option<SourceSpan>,
    /// What to do about it.
    pub help: Option<String>,
    /// The replacement, where there is one.
    pub fix: Option<Fix>,
}
