//! Does a query keep a path from being recognised?

use super::condition::Op;
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity};
use outcall_schema::decision::Action;
use outcall_schema::field::Field;

pub(super) const LINT: LintRow = LintRow {
    name: "path-without-query",
    family: Family::TooWide,
    row: CodeRow {
        code: "OC0266",
        severity: Severity::Warning,
        title: "a comparison of a path that a query defeats",
        explain: "`http.path` is path and query. A block rule for `http.path == \"/admin\"` does not see `/admin?x`, which most \
servers answer alike. Test the beginning as well: `http.path == \"/admin\" || \
http.path.startsWith(\"/admin?\")`.",
        bad: Example::Rules(
            "- id: no-admin\n  action: block\n  condition: http.host == \"www.example.com\" && http.path == \"/admin\"\n",
        ),
        good: Example::Rules(
            "- id: no-admin\n  action: block\n  condition: http.host == \"www.example.com\" && (http.path == \"/admin\" || http.path.startsWith(\"/admin?\"))\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let tests = subject.tests();
    let prefixes: Vec<&str> = tests
        .iter()
        .filter_map(|test| test.atom.as_ref())
        .filter(|atom| atom.field == Field::HttpPath && atom.op == Op::Prefix)
        .flat_map(|atom| atom.texts().map(|(text, _)| text))
        .collect();
    for test in tests {
        let Some(atom) = test.atom.as_ref().filter(|it| it.field == Field::HttpPath && it.op == Op::Equals) else {
            continue;
        };
        // What matters is that something is not recognised: in what stops requests, and in an exception of what allows them.
        if subject.widens(test) || (test.positive && subject.is(Action::Allow)) {
            continue;
        }
        for (path, span) in atom.texts() {
            let queried = format!("{path}?x");
            // A root with a query is another page, and tunnels have the root alone.
            if path == "/" || path.contains('?') || prefixes.iter().any(|prefix| queried.starts_with(prefix)) {
                continue;
            }
            let message = format!("`{queried}` is not equal to this and passes by");
            let help = format!("write `(http.path == \"{path}\" || http.path.startsWith(\"{path}?\"))`");
            findings.push(subject.here(LINT.row.code, span, message).help(help));
        }
    }
}
