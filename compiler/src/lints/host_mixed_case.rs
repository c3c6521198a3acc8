//! Is a host written in capitals?

use super::literals::{HostFault, host_fault};
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};

pub(super) const LINT: LintRow = LintRow {
    name: "host-mixed-case",
    family: Family::Style,
    row: CodeRow {
        code: "OC0291",
        severity: Severity::Warning,
        title: "a host in capitals",
        explain: "Hosts are compared in small letters, however they were sent, so a test with a capital is never true.",
        bad: Example::Rules("- id: docs\n  action: allow\n  condition: http.host == \"Docs.Example.com\"\n"),
        good: Example::Rules("- id: docs\n  action: allow\n  condition: http.host == \"docs.example.com\"\n"),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (atom, text, span) in subject.texts() {
        let Some(HostFault::Case(lower)) = host_fault(atom, text) else { continue };
        let message = format!("hosts are in small letters, so none fits {}", quoted(text));
        let finding = subject.anywhere(LINT.row.code, span, message).help(format!("write `{lower}`"));
        findings.push(subject.with_literal(finding, span, &lower));
    }
}
