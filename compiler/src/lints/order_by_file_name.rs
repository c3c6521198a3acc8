//! Do the names of files decide what is allowed?

use super::{Check, Context, Family, LintRow};
use crate::analyse::Example as Shown;
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};

pub(super) const LINT: LintRow = LintRow {
    name: "order-by-file-name",
    family: Family::Style,
    row: CodeRow {
        code: "OC0290",
        severity: Severity::Warning,
        title: "an order that hangs on file names",
        explain: "Two rules with the same priority, in different files, decide the same request differently. Which of them comes first follows from the names of their files, so that renaming one changes what is allowed. A `priority` says which is meant to win.",
        bad: Example::Files(&[
            (
                "a.yaml",
                "version: \"1\"\nrules:\n  - id: docs\n    action: allow\n    condition: http.host == \"docs.example.com\"\n",
            ),
            (
                "b.yaml",
                "version: \"1\"\nrules:\n  - id: no-examples\n    action: block\n    condition: http.host.endsWith(\".example.com\")\n",
            ),
        ]),
        good: Example::Files(&[
            (
                "a.yaml",
                "version: \"1\"\nrules:\n  - id: docs\n    action: allow\n    priority: 50\n    condition: http.host == \"docs.example.com\"\n",
            ),
            (
                "b.yaml",
                "version: \"1\"\nrules:\n  - id: no-examples\n    action: block\n    condition: http.host.endsWith(\".example.com\")\n",
            ),
        ]),
    },
    check: Check::Exact(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let rules = &context.policy.rules;
    let mut last: Option<usize> = None;
    for (first, second, example) in &context.exact().order_by_file_name {
        // One finding a rule: the first that it is in the way of.
        if last == Some(*first) {
            continue;
        }
        last = Some(*first);
        let (Some(first), Some(second)) = (rules.get(*first), rules.get(*second)) else { continue };
        let message = format!(
            "only by its file's name does {} come before {} ({}:{})",
            quoted(&first.id),
            quoted(&second.id),
            second.span.file.name,
            second.span.line()
        );
        let help = format!("both are about {}; give one of them a `priority`", shown(example));
        findings.push(Finding::at(LINT.row.code, first.span.clone(), message).help(help));
    }
}

fn shown(example: &Shown) -> String {
    example.human()
}
