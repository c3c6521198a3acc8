//! Is a method compared with small letters?

use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};
use outcall_schema::field::Field;

pub(super) const LINT: LintRow = LintRow {
    name: "method-lower-case",
    family: Family::Never,
    row: CodeRow {
        code: "OC0220",
        severity: Severity::Warning,
        title: "a method in small letters",
        explain: "Methods are compared in capitals, however they were sent, so a comparison with `get` is never true.",
        bad: Example::Rules(
            "- id: docs\n  action: allow\n  condition: http.host == \"docs.example.com\" && http.method == \"get\"\n  egress: { mode: intercept }\n",
        ),
        good: Example::Rules(
            "- id: docs\n  action: allow\n  condition: http.host == \"docs.example.com\" && http.method == \"GET\"\n  egress: { mode: intercept }\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (atom, text, span) in subject.texts() {
        let lower = text.bytes().any(|byte| byte.is_ascii_lowercase());
        if atom.field != Field::HttpMethod || !atom.compares() || atom.folded.is_some() || !lower {
            continue;
        }
        let upper = text.to_ascii_uppercase();
        let message = format!("methods are in capitals, so `http.method` is never {}", quoted(text));
        let finding = subject.anywhere(LINT.row.code, span, message).help(format!("write `{upper}`"));
        findings.push(subject.with_literal(finding, span, &upper));
    }
}
