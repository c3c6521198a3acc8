//! Is a host written with the dot of the root?

use super::literals::{HostFault, host_fault};
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};

pub(super) const LINT: LintRow = LintRow {
    name: "host-trailing-dot",
    family: Family::Style,
    row: CodeRow {
        code: "OC0292",
        severity: Severity::Warning,
        title: "a host with a dot at its end",
        explain: "Hosts are compared without the dot at their end, however they were sent, so a test with it is never true.",
        bad: Example::Rules("- id: docs\n  action: allow\n  condition: dns.query == \"docs.example.com.\"\n"),
        good: Example::Rules("- id: docs\n  action: allow\n  condition: dns.query == \"docs.example.com\"\n"),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (atom, text, span) in subject.texts() {
        let Some(HostFault::Dot(bare)) = host_fault(atom, text) else { continue };
        let message = format!("hosts have no dot at their end, so none fits {}", quoted(text));
        let finding = subject.anywhere(LINT.row.code, span, message).help(format!("write `{bare}`"));
        findings.push(subject.with_literal(finding, span, &bare));
    }
}
