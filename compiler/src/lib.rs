//! Text in, artifacts and findings out.
//!
//! In pipeline order: `source` (files and positions) -> `syntax` and [`cel`] (as written) -> [`resolve`] (names bound,
//! types known) -> `decide` (classes, diagram, residual) -> `emit` (artifacts) and [`lints`]; `ask` answers questions about a
//! policy.
//!
//! Invariant: no socket is opened here, and nothing here runs in the enforcing process.
#![forbid(unsafe_code)]

pub mod analyse;
pub mod ask;
pub mod cel;
pub mod decide;
pub mod diag;
pub mod emit;
pub mod fix;
pub mod format;
pub mod language;
pub mod lints;
pub mod preset;
pub mod resolve;
pub mod schema_json;
pub mod source;
pub mod syntax;

use std::path::PathBuf;
use std::sync::Arc;

use diag::{Finding, Severity, SourceFile};
pub use emit::Artifacts;
use resolve::{Policy, PresetTests};
pub use source::Missing;

/// What compiling came to.
#[derive(Debug)]
pub struct Compilation {
    /// The policy, as far as it could be resolved; whole when no finding is an error.
    pub policy: Policy,
    /// How many files it was read from.
    pub files: usize,
    /// Everything that was found, in the order in which it is reported.
    pub findings: Vec<Finding>,
    /// The artifacts; only when no finding is an error.
    pub artifacts: Option<Artifacts>,
    /// What the lints took: their findings are among the others.
    pub checked: lints::Checked,
}

impl Compilation {
    /// How many findings have this severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// Whether something could not be read, which is a failure of the command rather than of the rules.
    pub fn unreadable(&self) -> bool {
        self.findings.iter().any(Finding::is_unreadable)
    }
}

/// Resolves rule files without lowering them: for questions about what rules mean.
pub fn read(files: &[std::sync::Arc<diag::SourceFile>], mut findings: Vec<Finding>) -> (Policy, Vec<Finding>) {
    let (policy, mut found) = resolve::resolve(files);
    findings.append(&mut found);
    source::suppress::apply(&mut findings, &policy.suppressions);
    diag::sort(&mut findings);
    (policy, findings)
}

/// Compiles the rule files that `paths` name: files, and directories of them.
pub fn compile(paths: &[PathBuf], missing: Missing) -> Compilation {
    let (files, findings) = source::load(paths, missing);
    compile_files(&files, findings, PresetTests::Left)
}

/// Compiles files that have been read, in evaluation order, with what was found while reading them.
pub fn compile_files(files: &[Arc<SourceFile>], mut findings: Vec<Finding>, tests: PresetTests) -> Compilation {
    let (policy, mut found) = resolve::resolve_with(files, tests);
    findings.append(&mut found);
    let mut artifacts = None;
    let clean = !findings.iter().any(Finding::is_error);
    let mut checked = lints::Checked::default();
    if clean {
        checked = lints::check(&policy);
        findings.append(&mut checked.findings);
        (artifacts, found) = emit::artifacts(&policy);
        findings.append(&mut found);
    }
    // The text of a preset is not the user's to mend.
    findings.iter_mut().filter(|finding| finding.used_at().is_some()).for_each(|finding| finding.fix = None);
    // What a policy with errors would be told is not known, so nothing is said of suppressions for it.
    let unused = source::suppress::apply(&mut findings, &policy.suppressions);
    // A preset's comments are for all who use it; whether each is needed shows when it is tried alone.
    let alone = tests == PresetTests::Included;
    findings.extend(unused.into_iter().filter(|finding| clean && (alone || finding.used_at().is_none())));
    diag::sort(&mut findings);
    let artifacts = artifacts.filter(|_| !findings.iter().any(Finding::is_error));
    Compilation { policy, files: files.len(), findings, artifacts, checked }
}
