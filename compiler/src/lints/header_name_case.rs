//! Is a header looked for in capitals?

use super::condition::Op;
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};
use outcall_schema::field::Field;

pub(super) const LINT: LintRow = LintRow {
    name: "header-name-case",
    family: Family::Never,
    row: CodeRow {
        code: "OC0226",
        severity: Severity::Warning,
        title: "a header name in capitals",
        explain: "The names in `http.headers` and `response.headers` are in small letters, however they were sent, so a name \
with a capital is never among them.",
        bad: Example::Rules(
            "- id: docs\n  action: allow\n  condition: '\"X-Team\" in http.headers && http.host == \"docs.example.com\"'\n  egress: { mode: intercept }\n",
        ),
        good: Example::Rules(
            "- id: docs\n  action: allow\n  condition: '\"x-team\" in http.headers && http.host == \"docs.example.com\"'\n  egress: { mode: intercept }\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (atom, text, span) in subject.texts() {
        let headers = matches!(atom.field, Field::HttpHeaders | Field::ResponseHeaders);
        let lower = text.to_ascii_lowercase();
        if !headers || atom.op != Op::Present || lower == text {
            continue;
        }
        let message = format!("header names are in small letters, so {} is never there", quoted(text));
        let finding = subject.anywhere(LINT.row.code, span, message).help(format!("write `{lower}`"));
        findings.push(subject.with_literal(finding, span, &lower));
    }
}
