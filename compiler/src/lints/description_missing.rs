//! Is there an allow rule that does not say what it is for?

use super::{Check, Context, Family, LintRow};
use crate::diag::SourceSpan;
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};
use outcall_schema::decision::Action;
use std::collections::HashMap;

pub(super) const LINT: LintRow = LintRow {
    name: "description-missing",
    family: Family::Style,
    row: CodeRow {
        code: "OC0293",
        severity: Severity::Note,
        title: "an allow rule without a description",
        explain: "Whoever reviews the rules next, or finds one in a log, wants to know what it is for. A description says why \
something is open; the condition only says what is.",
        bad: Example::Rules("- id: mirror\n  action: allow\n  condition: http.host == \"mirror.example.com\"\n"),
        good: Example::Rules(
            "- id: mirror\n  description: packages for the build\n  action: allow\n  condition: http.host == \"mirror.example.com\"\n",
        ),
    },
    check: Check::Policy(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    // One for each file, so that a file whose author writes none is told once.
    let mut files: HashMap<&str, (&SourceSpan, &str, usize)> = HashMap::new();
    for subject in context.subjects.iter().filter(|it| it.is(Action::Allow) && it.rule.description.trim().is_empty()) {
        let rule = subject.rule;
        let (span, id, count) = files.entry(&rule.span.file.name).or_insert((&rule.span, &rule.id, 0));
        *count += 1;
        if rule.span.start < span.start {
            (*span, *id) = (&rule.span, &rule.id);
        }
    }
    for (span, id, count) in files.into_values() {
        let message = match count {
            1 => format!("{} does not say what it is for", quoted(id)),
            2 => format!("{} and one more rule of this file do not say what they are for", quoted(id)),
            _ => format!("{} and {} more rules of this file do not say what they are for", quoted(id), count - 1),
        };
        findings.push(Finding::at(LINT.row.code, span.clone(), message).help("add a `description`"));
    }
}
