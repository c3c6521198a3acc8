//! Does a path's prefix end within a segment?

use outcall_schema::field::Field;

use super::condition::Op;
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};

pub(super) const LINT: LintRow = LintRow {
    name: "path-prefix-open",
    family: Family::TooWide,
    row: CodeRow {
        code: "OC0265",
        severity: Severity::Warning,
        title: "a path's prefix that ends within a segment",
        explain: "`startsWith(\"/v1\")` is also true for `/v1beta` and `/v1-internal`. End the prefix with a slash. Where the \
path itself is meant too, compare it: with a query behind it `/v1` is `/v1?x=y`.",
        bad: Example::Rules(
            "- id: api\n  action: allow\n  condition: http.host == \"api.example.com\" && http.path.startsWith(\"/v1\")\n  egress: { mode: intercept }\n",
        ),
        good: Example::Rules(
            "- id: api\n  action: allow\n  condition: http.host == \"api.example.com\" && http.path.startsWith(\"/v1/\")\n  egress: { mode: intercept }\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    subject.widening(&mut |test, _| {
        let Some(atom) = test.atom.as_ref().filter(|atom| atom.op == Op::Prefix && atom.field == Field::HttpPath)
        else {
            return;
        };
        for (prefix, span) in atom.texts() {
            // What ends in a delimiter is meant to, and in a query a prefix of a value is nothing unusual.
            let within = prefix.starts_with('/') && prefix.ends_with(|end: char| end.is_ascii_alphanumeric());
            if !within || prefix.contains('?') {
                continue;
            }
            let message = format!("the prefix {} also fits `{prefix}-other`", quoted(prefix));
            let help = format!("end it with a slash; for the path itself add `|| http.path == \"{prefix}\"`");
            let finding = subject.anywhere(LINT.row.code, span, message).help(help);
            findings.push(subject.with_literal(finding, span, &format!("{prefix}/")));
        }
    });
}
