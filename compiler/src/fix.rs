//! The fixes of findings, applied as far as they help: a fix that would add an error is left.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::compile_files;
use crate::diag::codes_files::TEST_RULE;
use crate::diag::{Finding, SourceFile};
use crate::resolve::PresetTests;
use crate::source::FILE_LIMIT_BYTES;

/// Rounds after which no more is tried. Each mends something, or is the last.
const ROUNDS: usize = 100;

/// Whether the files are all that the policy has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// They are.
    Whole,
    /// There may be more, so that what seems to be missing may stand there.
    Part,
}

/// A fix that was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The file's path.
    pub path: String,
    /// The line, in the file as it was then.
    pub line: u32,
    /// The code of what was wrong.
    pub code: &'static str,
    /// What was wrong.
    pub message: String,
    /// What stood there.
    pub before: String,
    /// What stands there now.
    pub after: String,
}

/// What applying fixes came to.
#[derive(Debug)]
pub struct Fixed {
    /// The files, changed or not, in the order given.
    pub files: Vec<Arc<SourceFile>>,
    /// What was changed, in the order in which it was.
    pub changes: Vec<Change>,
    /// What is left.
    pub findings: Vec<Finding>,
}

/// Applies the fixes that findings carry, again and again until none is left or none helps. What comes out has no more errors
/// than what went in, and each finding that was fixed is gone.
pub fn fix(files: &[Arc<SourceFile>], scope: Scope) -> Fixed {
    let mut files = files.to_vec();
    let mut changes = Vec::new();
    let mut refused: HashSet<(String, &'static str, String, String)> = HashSet::new();
    let mut findings = found(&files);
    for _ in 0..ROUNDS {
        let mut edits: Vec<Edit> = findings
            .iter()
            .filter(|finding| scope == Scope::Whole || finding.code != TEST_RULE)
            .filter_map(|finding| Edit::of(finding, &files))
            .filter(|edit| !refused.contains(&edit.key(&files)))
            .collect();
        edits.sort_by_key(|edit| (edit.file, edit.start, edit.end));
        edits.dedup_by(|next, last| next.file == last.file && next.start < last.end.max(last.start + 1));
        if edits.is_empty() {
            break;
        }
        let mut applied: Vec<Edit> = Vec::new();
        // All at once is the usual case; a group that does not help is halved until the fix to leave is found.
        let mut groups = vec![edits];
        while let Some(mut group) = groups.pop() {
            let tried: Vec<Edit> = applied.iter().chain(&group).cloned().collect();
            let result = changed(&files, &tried);
            let fits = result.iter().all(|file| file.text.len() <= FILE_LIMIT_BYTES);
            if fits && helps(&findings, &found(&result), &tried) {
                applied = tried;
            } else if group.len() > 1 {
                let rest = group.split_off(group.len() / 2);
                groups.extend([rest, group]);
            } else {
                refused.extend(group.iter().map(|edit| edit.key(&files)));
            }
        }
        if applied.is_empty() {
            continue;
        }
        applied.sort_by_key(|edit| (edit.file, edit.start));
        changes.extend(applied.iter().filter_map(|edit| edit.change(&files)));
        files = changed(&files, &applied);
        findings = found(&files);
    }
    Fixed { files, changes, findings }
}

fn found(files: &[Arc<SourceFile>]) -> Vec<Finding> {
    compile_files(files, Vec::new(), PresetTests::Left).findings
}

/// Whether there are no more errors than before, each finding that was fixed is gone, and every error that was hidden behind
/// them has a fix as well.
fn helps(before: &[Finding], after: &[Finding], edits: &[Edit]) -> bool {
    let errors = |findings: &[Finding]| findings.iter().filter(|finding| finding.is_error()).count();
    let counted = |findings: &[Finding]| {
        let mut counts: HashMap<(&'static str, String), usize> = HashMap::new();
        for finding in findings {
            *counts.entry((finding.code, finding.message.clone())).or_default() += 1;
        }
        counts
    };
    let mut left = counted(before);
    for edit in edits {
        if let Some(count) = left.get_mut(&(edit.code, edit.message.clone())) {
            *count = count.saturating_sub(1);
        }
    }
    let now = counted(after);
    let gone = |edit: &Edit| {
        let key = (edit.code, edit.message.clone());
        now.get(&key) <= left.get(&key).filter(|count| **count > 0)
    };
    let were = counted(before);
    let known = |finding: &Finding| were.contains_key(&(finding.code, finding.message.clone()));
    errors(after) <= errors(before)
        && edits.iter().all(gone)
        && after.iter().all(|finding| !finding.is_error() || finding.fix.is_some() || known(finding))
}

/// A replacement in one of the files.
#[derive(Debug, Clone)]
struct Edit {
    file: usize,
    start: usize,
    end: usize,
    replacement: String,
    code: &'static str,
    message: String,
}

impl Edit {
    /// The fix of a finding; `None` where it has none, or is in a text that cannot be changed.
    fn of(finding: &Finding, files: &[Arc<SourceFile>]) -> Option<Edit> {
        let fix = finding.fix.as_ref()?;
        let file = files.iter().position(|file| Arc::ptr_eq(file, &fix.span.file))?;
        let (start, end) = (fix.span.start, fix.span.end);
        let (code, message) = (finding.code, finding.message.clone());
        Some(Edit { file, start, end, replacement: fix.replacement.clone(), code, message })
    }

    /// What tells the fix from others, wherever it has moved.
    fn key(&self, files: &[Arc<SourceFile>]) -> (String, &'static str, String, String) {
        let path = files.get(self.file).map(|file| file.path.clone()).unwrap_or_default();
        (path, self.code, self.message.clone(), self.replacement.clone())
    }

    fn change(&self, files: &[Arc<SourceFile>]) -> Option<Change> {
        let file = files.get(self.file)?;
        Some(Change {
            path: file.path.clone(),
            line: file.line(self.start),
            code: self.code,
            message: self.message.clone(),
            before: file.text.get(self.start..self.end)?.to_owned(),
            after: self.replacement.clone(),
        })
    }
}

/// The files with replacements made, which do not overlap.
fn changed(files: &[Arc<SourceFile>], edits: &[Edit]) -> Vec<Arc<SourceFile>> {
    let one = |(at, file): (usize, &Arc<SourceFile>)| {
        let mut own: Vec<&Edit> = edits.iter().filter(|edit| edit.file == at).collect();
        if own.is_empty() {
            return Arc::clone(file);
        }
        own.sort_by_key(|edit| edit.start);
        let mut text = String::with_capacity(file.text.len());
        let mut from = 0;
        for edit in own {
            text.push_str(file.text.get(from..edit.start).unwrap_or_default());
            text.push_str(&edit.replacement);
            from = edit.end;
        }
        text.push_str(file.text.get(from..).unwrap_or_default());
        SourceFile::with_path(file.name.as_str(), file.path.as_str(), text)
    };
    files.iter().enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) -> Vec<Change> {
        let Fixed { files, changes, .. } = fix(&[SourceFile::new("a.yaml", text)], Scope::Whole);
        assert_eq!(files.first().map(|file| file.text.as_str()), Some(expected));
        changes
    }

    #[test]
    fn fixes_are_applied_until_none_is_left() {
        let changes = check(
            "rules:\n  - id: a\n    acton: alow\n    conditon: http.hots == \"A.example.com\"\n    log: yes\n    egress: {ports: 443}\n",
            "version: \"1\"\nrules:\n  - id: a\n    action: allow\n    condition: http.host == \"a.example.com\"\n    log: true\n    egress: {ports: [443]}\n",
        );
        assert!(changes.len() >= 7, "{changes:?}");
        assert_eq!((changes[0].code, changes[0].line), ("OC0017", 1));
    }

    #[test]
    fn a_fix_that_would_add_an_error_is_left() {
        // The word that was meant is there already: twice would be worse.
        let text = "version: \"1\"\nrules:\n  - id: a\n    action: allow\n    acton: allow\n    condition: 'true'\n";
        assert!(check(text, text).is_empty());
        // Two errors would show behind the one that goes.
        let text = "version: \"1\"\nrules:\n  - id: a\n    action: allow\n    conditon: a.b.c == 1 && d.e.f == 2\n";
        assert!(check(text, text).is_empty());
    }

    #[test]
    fn one_fix_that_does_not_help_keeps_no_other_back() {
        let changes = check(
            "version: \"1\"\nrules:\n  - id: a\n    action: allow\n    acton: allow\n    condition: http.hots == \"a\"\n",
            "version: \"1\"\nrules:\n  - id: a\n    action: allow\n    acton: allow\n    condition: http.host == \"a\"\n",
        );
        assert_eq!(changes.len(), 1);
        assert_eq!((changes[0].before.as_str(), changes[0].after.as_str()), ("http.hots", "http.host"));
    }

    #[test]
    fn a_rule_that_may_stand_in_another_file_is_not_renamed() {
        let text = "version: \"1\"\nrules:\n  - id: docs\n    action: block\n    condition: http.host == \"a\"\ntests:\n  - name: t\n    request: {dns: {query: a}}\n    expect: {decision: block, rule: doc}\n";
        let file = SourceFile::new("a.yaml", text);
        assert_eq!(fix(std::slice::from_ref(&file), Scope::Part).changes, Vec::new());
        assert_eq!(fix(&[file], Scope::Whole).changes.len(), 1);
    }
}
