//! `outcall compile`: rules in, artifacts and diagnostics out.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use outcall_compiler::diag::{Severity, github, render, sarif};
use outcall_compiler::{Artifacts, Compilation, Missing};
use serde_json::json;

use crate::Exit;
use crate::output::{Output, complain};

/// Compile rules into artifacts, and report everything that is wrong with them
///
/// Exits with 0 when there is nothing to complain about, with 1 when there are findings that fail, and with 2 when it was
/// called wrongly or something could not be read or written.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Rule files, and directories of them (*.yaml and *.yml, not recursively) [default: rules.d]
    paths: Vec<PathBuf>,
    /// Write the artifacts into this directory, which is made when it does not exist
    #[arg(short, long, value_name = "DIR", conflicts_with = "check")]
    output: Option<PathBuf>,
    /// Only check; nothing is written
    #[arg(long)]
    check: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: ReportFormat,
    /// Let warnings fail as well
    #[arg(long, value_enum, value_name = "WHAT")]
    deny: Option<Deny>,
    /// Print what lowering took: look-ups, classes, and what stayed outside the tables
    #[arg(long)]
    stats: bool,
}

/// How findings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum ReportFormat {
    /// Text for people
    #[default]
    Human,
    /// One JSON document
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// Annotations of a GitHub workflow
    Github,
}

/// What fails beside errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Deny {
    /// Warnings
    Warnings,
}

/// The rules when none are named: those in the working directory. It may be absent, which blocks everything.
pub(crate) const DEFAULT_PATH: &str = "rules.d";

/// Compiles what the command line names.
pub(crate) fn compile(paths: &[PathBuf]) -> Compilation {
    if paths.is_empty() {
        outcall_compiler::compile(&[DEFAULT_PATH.into()], Missing::Empty)
    } else {
        outcall_compiler::compile(paths, Missing::Refused)
    }
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Exit {
    let compilation = compile(&args.paths);
    let denied = args.deny == Some(Deny::Warnings) && compilation.count(Severity::Warning) > 0;
    let mut written = None;
    if let (Some(directory), Some(artifacts), false) = (&args.output, &compilation.artifacts, denied) {
        if let Err(error) = write(directory, artifacts) {
            complain(format_args!("cannot write to {}: {error}", directory.display()));
            return Exit::Usage;
        }
        written = Some(directory);
    }
    match args.format {
        ReportFormat::Json => out.json(&report(&compilation, args.stats)),
        ReportFormat::Sarif => out.json(&sarif::sarif(&compilation.findings)),
        ReportFormat::Github => {
            out.text(github::github(&compilation.findings));
            out.line(summary(&compilation, None));
        }
        ReportFormat::Human => {
            out.text(render::human(&compilation.findings, out.colour()));
            out.line(summary(&compilation, written));
            if args.stats {
                stats(&compilation, out);
            }
        }
    }
    if compilation.unreadable() {
        Exit::Usage
    } else if compilation.artifacts.is_none() || denied {
        Exit::Failed
    } else {
        Exit::Done
    }
}

/// Writes the artifacts so that a reader finds the old or the new ones: each complete under another name and then renamed,
/// the manifest last, whose digests refuse every mixture.
fn write(directory: &Path, artifacts: &Artifacts) -> std::io::Result<()> {
    fs::create_dir_all(directory)?;
    let files = artifacts.files().map(|(name, content)| {
        let temporary = directory.join(format!(".{name}.{}", std::process::id()));
        (temporary, directory.join(name), content)
    });
    let result = files.iter().try_for_each(|(temporary, _, content)| {
        let mut file = File::create(temporary)?;
        file.write_all(content)?;
        file.sync_all()
    });
    let result = result.and_then(|()| files.iter().try_for_each(|(temporary, name, _)| fs::rename(temporary, name)));
    if result.is_err() {
        for (temporary, _, _) in &files {
            let _ = fs::remove_file(temporary);
        }
    }
    result?;
    // The renames themselves.
    File::open(directory)?.sync_all()
}

fn report(compilation: &Compilation, stats: bool) -> serde_json::Value {
    let mut report = json!({
        "findings": render::json(&compilation.findings),
        "summary": {
            "compiled": compilation.artifacts.is_some(),
            "files": compilation.files,
            "rules": compilation.policy.rules.len(),
            "errors": compilation.count(Severity::Error),
            "warnings": compilation.count(Severity::Warning),
            "notes": compilation.count(Severity::Note),
        },
    });
    if let (true, Some(artifacts), Some(report)) = (stats, &compilation.artifacts, report.as_object_mut()) {
        let row = |(name, stats): &(String, outcall_compiler::decide::build::Stats)| {
            json!({
                "entry": name,
                "lookups": stats.nodes,
                "classes": stats.classes,
                "parallel": stats.parallels,
                "listed": stats.listed,
            })
        };
        report.insert("stats".to_owned(), artifacts.stats.iter().map(row).collect());
        let checked = &compilation.checked;
        let rules = &compilation.policy.rules;
        let ids: Vec<&str> =
            checked.not_proven.iter().filter_map(|number| Some(rules.get(*number)?.id.as_str())).collect();
        report.insert("analysis".to_owned(), json!({ "steps": checked.steps, "not_proven": ids }));
    }
    report
}

fn summary(compilation: &Compilation, written: Option<&PathBuf>) -> String {
    let errors = compilation.count(Severity::Error);
    let warnings = compilation.count(Severity::Warning);
    let mut found = Vec::new();
    found.extend((errors > 0).then(|| counted(errors, "error")));
    found.extend((warnings > 0).then(|| counted(warnings, "warning")));
    let found = found.join(", ");
    if compilation.artifacts.is_none() {
        return format!("Not compiled: {found}.");
    }
    let rules = compilation.policy.rules.len();
    let mut text = format!("Compiled {} from {}", counted(rules, "rule"), counted(compilation.files, "file"));
    if let Some(directory) = written {
        text.push_str(&format!(" into {}", directory.display()));
    }
    if warnings > 0 {
        text.push_str(&format!(", with {found}"));
    }
    text.push_str(if rules == 0 { ". A policy without rules blocks everything." } else { "." });
    text
}

fn stats(compilation: &Compilation, out: &mut Output) {
    let Some(artifacts) = &compilation.artifacts else { return };
    out.line(format_args!("\n{:40} {:>10} {:>10} {:>10} {:>10}", "entry", "lookups", "classes", "parallel", "listed"));
    for (name, stats) in &artifacts.stats {
        out.line(format_args!(
            "{name:40} {:>10} {:>10} {:>10} {:>10}",
            stats.nodes, stats.classes, stats.parallels, stats.listed
        ));
    }
    let checked = &compilation.checked;
    out.line(format_args!("\n{:40} {:>10} steps", "which rules are ever reached", checked.steps));
    if !checked.not_proven.is_empty() {
        let rules = &compilation.policy.rules;
        let ids = checked.not_proven.iter().filter_map(|number| Some(rules.get(*number)?.id.as_str()));
        out.line(format_args!("not proven in {} steps of: {}", checked.steps, ids.collect::<Vec<_>>().join(", ")));
    }
    out.line("");
    for (name, content) in artifacts.files() {
        out.line(format_args!("{name:40} {:>10} bytes", content.len()));
    }
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
