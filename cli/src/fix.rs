//! `outcall fix`: the fixes of findings, applied.

use std::path::PathBuf;

use outcall_compiler::diag::{Finding, render};
use outcall_compiler::fix::{Change, Scope, fix};

use crate::Exit;
use crate::output::{Output, complain, warn};
use crate::rewrite;

/// Apply the fixes that findings carry, as far as they are safe
///
/// A fix is what a finding says to write instead, where only one thing can be meant. They are applied again and again until
/// none is left; one that would add an error is left. What was changed is printed. Read it: a rule that had an error had no
/// effect, and has one now.
///
/// Exits with 0 when no error is left, with 1 when one is, and with 2 when something could not be read or written.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Rule files, and directories of them [default: rules.d]
    paths: Vec<PathBuf>,
    /// Change nothing; print what would change as a unified diff
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Exit {
    let (files, findings) = rewrite::load(&args.paths);
    if !findings.is_empty() {
        // What is meant may stand in what cannot be read.
        warn(render::human(&findings, out.colour_of_errors()));
        return Exit::Usage;
    }
    let scope = if args.paths.iter().all(|path| path.is_dir()) { Scope::Whole } else { Scope::Part };
    let fixed = fix(&files, scope);
    for (before, after) in files.iter().zip(&fixed.files).filter(|(before, after)| before.text != after.text) {
        if args.dry_run {
            out.text(rewrite::diff(before, &after.text));
        } else if let Err(error) = rewrite::replace(before, &after.text) {
            complain(format_args!("cannot write {}: {error}", before.path));
            return Exit::Usage;
        }
    }
    if !args.dry_run {
        fixed.changes.iter().for_each(|change| out.line(line(change)));
    }
    let errors = fixed.findings.iter().filter(|finding| finding.is_error()).count();
    if errors > 0 {
        let what = if errors == 1 { "error is left" } else { "errors are left" };
        complain(format_args!("{errors} {what}; `outcall compile --check` shows them"));
    }
    if fixed.findings.iter().any(Finding::is_error) { Exit::Failed } else { Exit::Done }
}

/// A change on one line.
fn line(change: &Change) -> String {
    let Change { path, line, code, before, after, .. } = change;
    let shown = |text: &str| outcall_compiler::diag::quoted(text.trim());
    match (before.trim(), after.trim()) {
        ("", _) => format!("{path}:{line} {code} {} added", shown(after)),
        (_, "") => format!("{path}:{line} {code} {} removed", shown(before)),
        _ => format!("{path}:{line} {code} {} is now {}", shown(before), shown(after)),
    }
}
