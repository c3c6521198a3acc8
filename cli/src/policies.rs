//! Policies to be compared or asked about: rule files, artifacts, or rules as they were at a revision of git.

use std::path::{Path, PathBuf};
use std::process::Command;

use outcall_compiler::ask::Compiled;
use outcall_compiler::diag::{Finding, render};
use outcall_compiler::resolve::{self, Policy};
use outcall_compiler::{Missing, source};
use outcall_schema::artifact::manifest::file;

use crate::Exit;
use crate::compile::DEFAULT_PATH;
use crate::output::{Output, complain};

/// What a revision without rules stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    /// A policy that blocks everything: there were none yet.
    BlocksAll,
    /// A mistake in its name: an answer about no rules would pass for one about those that were meant.
    Refused,
}

/// Opens what `git:REV[:PATH]`, a directory of artifacts, or paths to rules stand for. What is wrong is reported.
pub(crate) fn open(words: &[String], absent: Absent, out: &Output) -> Result<Policy, Exit> {
    if let [word] = words {
        if let Some(rest) = word.strip_prefix("git:") {
            return revision(rest, absent, out);
        }
        let directory = Path::new(word);
        if directory.join(file::MANIFEST).is_file() {
            return artifacts(directory);
        }
    }
    let default = [PathBuf::from(DEFAULT_PATH)];
    let paths: Vec<PathBuf> = words.iter().map(PathBuf::from).collect();
    let (paths, missing) =
        if paths.is_empty() { (&default[..], Missing::Empty) } else { (paths.as_slice(), Missing::Refused) };
    let (files, findings) = source::load(paths, missing);
    finish(outcall_compiler::read(&files, findings), out)
}

fn finish((policy, findings): (Policy, Vec<Finding>), out: &Output) -> Result<Policy, Exit> {
    let errors: Vec<Finding> = findings.into_iter().filter(Finding::is_error).collect();
    if errors.is_empty() {
        return Ok(policy);
    }
    crate::output::warn(render::human(&errors, out.colour()));
    Err(if errors.iter().any(Finding::is_unreadable) { Exit::Usage } else { Exit::Failed })
}

/// Artifacts that belong together: the manifest says what the others do, so one that is another's is refused.
fn artifacts(directory: &Path) -> Result<Policy, Exit> {
    let refuse = |why: &dyn std::fmt::Display| {
        complain(why);
        Exit::Usage
    };
    let compiled = Compiled::open(directory).map_err(|error| refuse(&error))?;
    let shown = directory.join(file::MANIFEST);
    resolve::from_manifest(&compiled.manifest).map_err(|why| refuse(&format_args!("{}: {why}", shown.display())))
}

/// `REV[:PATH]`, in the repository of the working directory.
fn revision(text: &str, absent: Absent, out: &Output) -> Result<Policy, Exit> {
    let (revision, path) = text.split_once(':').unwrap_or((text, DEFAULT_PATH));
    let path = path.trim_end_matches('/');
    let files = at_revision(revision, path).map_err(|why| {
        complain(format_args!("git:{text}: {why}"));
        Exit::Usage
    })?;
    if files.is_empty() && absent == Absent::Refused {
        complain(format_args!("there are no rules at git:{text}"));
        return Err(Exit::Usage);
    }
    if files.is_empty() {
        complain(format_args!("there are no rules at git:{text}: taken for a policy that blocks everything"));
    }
    let (files, findings) = source::from_bytes(&format!("git:{revision}:{path}"), &files);
    finish(outcall_compiler::read(&files, findings), out)
}

fn git(arguments: &[&str]) -> Result<Vec<u8>, String> {
    let output = Command::new("git").args(arguments).output().map_err(|error| format!("cannot run git: {error}"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().next().unwrap_or("it failed").trim_start_matches("fatal: ").to_owned();
    Err(format!("git: {said}"))
}

/// The rule files under a path, as they were: name and content.
fn at_revision(revision: &str, path: &str) -> Result<Vec<(String, Vec<u8>)>, String> {
    if revision.is_empty() || revision.starts_with('-') {
        return Err(format!("`{revision}` is no revision"));
    }
    let commit = git(&["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{revision}^{{commit}}")])
        .map_err(|why| if why.contains("it failed") { format!("there is no revision `{revision}`") } else { why })?;
    let commit = String::from_utf8_lossy(&commit).trim().to_owned();
    // Relative to the working directory, as every other path on the command line.
    let listed = git(&["ls-tree", "-z", &commit, "--", path, &format!("{path}/")])?;
    let mut files = Vec::new();
    for row in listed.split(|byte| *byte == 0).filter(|row| !row.is_empty()) {
        let row = std::str::from_utf8(row).map_err(|_| "a file's name is not UTF-8".to_owned())?;
        let (about, name) = row.split_once('\t').ok_or("git ls-tree answered something else")?;
        let mut about = about.split(' ');
        let (mode, kind, object) = (about.next(), about.next(), about.next().unwrap_or_default());
        let base = name.rsplit('/').next().unwrap_or(name);
        let rules = base.ends_with(".yaml") || base.ends_with(".yml");
        match (mode, kind) {
            (Some("120000"), _) if rules => return Err(format!("{name} is a symbolic link")),
            (_, Some("blob")) if rules || name == path => {
                files.push((base.to_owned(), git(&["cat-file", "blob", object])?));
            }
            _ => {}
        }
    }
    Ok(files)
}
