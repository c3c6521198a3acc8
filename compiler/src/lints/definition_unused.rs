//! Is there a definition that no rule uses?

use super::{Check, Context, Family, LintRow};
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};

pub(super) const LINT: LintRow = LintRow {
    name: "definition-unused",
    family: Family::Never,
    row: CodeRow {
        code: "OC0216",
        severity: Severity::Warning,
        title: "a definition that no rule uses",
        explain: "Definitions belong to their file. One that no rule of the file uses, itself or by way of another \
definition, does nothing; perhaps a rule that should use it names another.",
        bad: Example::File(
            "version: \"1\"\ndefinitions:\n  docs: http.host == \"docs.example.com\"\n  wiki: http.host == \"wiki.example.com\"\nrules:\n  - id: docs\n    action: allow\n    condition: $docs\n",
        ),
        good: Example::File(
            "version: \"1\"\ndefinitions:\n  docs: http.host == \"docs.example.com\"\n  wiki: http.host == \"wiki.example.com\"\nrules:\n  - id: docs\n    action: allow\n    condition: $docs || $wiki\n",
        ),
    },
    check: Check::Policy(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for definition in context.policy.definitions.iter().filter(|definition| !definition.used) {
        let message = format!("no rule uses the definition {}", quoted(&definition.name));
        let help = format!("remove it, or write `${}` where it is meant", definition.name);
        findings.push(Finding::at(LINT.row.code, definition.span.clone(), message).help(help));
    }
}
