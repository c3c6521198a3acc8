//! `# outcall: allow OC0203 why`: a comment that suppresses a finding on the rule or key below it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::yaml::{Node, NodeKind};
use crate::diag::codes_files::SUPPRESSION;
use crate::diag::{Finding, Severity, SourceFile, SourceSpan, codes, nearest, quoted, row};
use crate::lints::UNUSED_SUPPRESSION;

/// A finding that somebody looked at and allows.
#[derive(Debug, Clone)]
pub struct Suppression {
    /// The code.
    pub code: &'static str,
    /// The rule or key that it holds for.
    pub span: SourceSpan,
    /// Where the comment stands.
    pub comment: SourceSpan,
}

/// Drops the findings that are suppressed; errors never are. What comes back are findings about suppressions that
/// suppressed nothing.
pub fn apply(findings: &mut Vec<Finding>, suppressions: &[Suppression]) -> Vec<Finding> {
    if suppressions.is_empty() {
        return Vec::new();
    }
    // By file and code, so that many findings do not meet many suppressions one by one.
    let mut by_place: HashMap<(&'static str, *const SourceFile), Vec<(&Suppression, usize)>> = HashMap::new();
    for (at, allowed) in suppressions.iter().enumerate() {
        by_place.entry((allowed.code, Arc::as_ptr(&allowed.span.file))).or_default().push((allowed, at));
    }
    let mut used = vec![false; suppressions.len()];
    findings.retain(|finding| {
        let Some(span) = finding.span.as_ref().filter(|_| !finding.is_error()) else { return true };
        let mut kept = true;
        for (allowed, at) in by_place.get(&(finding.code, Arc::as_ptr(&span.file))).into_iter().flatten() {
            if (allowed.span.start..=allowed.span.end).contains(&span.start) {
                kept = false;
                if let Some(used) = used.get_mut(*at) {
                    *used = true;
                }
            }
        }
        kept
    });
    let unused = suppressions.iter().zip(used).filter(|(_, used)| !used).map(|(suppression, _)| suppression);
    unused
        .map(|Suppression { code, comment, .. }| {
            let message = format!("there is no {code} here to suppress");
            let finding = Finding::at(UNUSED_SUPPRESSION, comment.clone(), message);
            finding.help("remove the comment, or put it directly above what it is about")
        })
        .collect()
}

/// The suppressions among a file's comments. One that cannot have an effect is a finding.
pub(super) fn collect(
    file: &Arc<SourceFile>,
    comments: &[(Range<usize>, Cow<'_, str>)],
    root: Option<&Node<'_>>,
    findings: &mut Vec<Finding>,
) -> Vec<Suppression> {
    let mut suppressions = Vec::new();
    let mut targets: Option<Vec<Range<usize>>> = None;
    for (range, text) in comments {
        let Some(request) = text.trim_start().strip_prefix("outcall:") else { continue };
        let place = SourceSpan { file: file.clone(), start: range.start, end: range.end };
        let code = match code(request) {
            Ok(code) => code,
            Err((message, help)) => {
                findings.push(Finding::at(SUPPRESSION, place, message).help(help));
                continue;
            }
        };
        let targets = targets.get_or_insert_with(|| root.map(targets_of).unwrap_or_default());
        match below(file, range, targets) {
            Some(target) => {
                let span = SourceSpan { file: file.clone(), start: target.start, end: target.end };
                suppressions.push(Suppression { code, span, comment: place });
            }
            None => findings.push(
                Finding::at(
                    SUPPRESSION,
                    place,
                    "this comment suppresses nothing: there is no rule or key on the next line",
                )
                .help("put it on a line of its own, directly above the rule or the key"),
            ),
        }
    }
    suppressions
}

fn code(request: &str) -> Result<&'static str, (String, String)> {
    const FORM: &str = "write `# outcall: allow OC0203 why`";
    let mut words = request.split_whitespace();
    if words.next() != Some("allow") {
        return Err(("a comment to outcall that is not understood".to_owned(), FORM.to_owned()));
    }
    let Some(name) = words.next() else {
        return Err(("the comment does not say which code it allows".to_owned(), FORM.to_owned()));
    };
    let Some(row) = row(name) else {
        let help = nearest(name, codes().iter().map(|row| row.code))
            .map_or_else(|| FORM.to_owned(), |near| format!("did you mean `{near}`?"));
        return Err((format!("there is no code {}", quoted(name)), help));
    };
    if row.severity == Severity::Error {
        return Err((
            format!("{} is an error, and errors cannot be suppressed", row.code),
            "mend it instead".to_owned(),
        ));
    }
    if words.next().is_none() {
        let help = format!("write `# outcall: allow {} why`, for those who read the rule after you", row.code);
        return Err((format!("the comment does not say why {} is allowed", row.code), help));
    }
    Ok(row.code)
}

/// Every list item and every key with its value, in the order in which they begin, the outer before the inner.
fn targets_of(root: &Node<'_>) -> Vec<Range<usize>> {
    let mut targets = Vec::new();
    let mut pending = vec![root];
    while let Some(node) = pending.pop() {
        match &node.kind {
            NodeKind::List(items) => {
                targets.extend(items.iter().map(|item| item.span.clone()));
                pending.extend(items);
            }
            NodeKind::Mapping(entries) => {
                targets.extend(entries.iter().map(super::yaml::Entry::span));
                pending.extend(entries.iter().map(|entry| &entry.value));
            }
            NodeKind::Scalar(_) | NodeKind::Refused => {}
        }
    }
    targets.sort_by_key(|target| (target.start, std::cmp::Reverse(target.end)));
    targets
}

/// What begins below a comment, with nothing but other comments and a list's dash between them.
fn below(file: &SourceFile, comment: &Range<usize>, targets: &[Range<usize>]) -> Option<Range<usize>> {
    let before = file.text.get(file.line_start(file.line(comment.start))..comment.start)?;
    if !before.trim().is_empty() {
        return None;
    }
    let target = targets.get(targets.partition_point(|target| target.start < comment.end))?;
    let between = file.text.get(comment.end..target.start)?;
    let mut lines: Vec<&str> = between.split('\n').skip(1).map(str::trim).collect();
    let own_line = lines.pop()?;
    let adjoins = matches!(own_line, "" | "-" | "?") && lines.iter().all(|line| line.starts_with('#') || *line == "-");
    adjoins.then(|| target.clone())
}
