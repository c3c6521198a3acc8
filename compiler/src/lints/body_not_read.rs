//! Does an allow rule test a body that it does not read?

use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity};
use outcall_schema::decision::Action;
use outcall_schema::field::Field;

pub(super) const LINT: LintRow = LintRow {
    name: "body-not-read",
    family: Family::Layer,
    row: CodeRow {
        code: "OC0233",
        severity: Severity::Warning,
        title: "a test of a body that is never read",
        explain: "In an allow rule `http.body` is null unless the rule says `match_body: true`, because reading bodies takes \
time and memory. A test of it is unknown, so the rule never applies.",
        bad: Example::Rules(
            "- id: api\n  action: allow\n  condition: http.host == \"api.example.com\" && http.body.contains(\"model\")\n  egress: { mode: intercept }\n",
        ),
        good: Example::Rules(
            "- id: api\n  action: allow\n  condition: http.host == \"api.example.com\" && http.body.contains(\"model\")\n  egress: { mode: intercept, match_body: true }\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let reads = subject.rule.egress.as_ref().is_some_and(|egress| egress.match_body);
    if reads || !subject.is(Action::Allow) {
        return;
    }
    let Some(test) = subject.tests().into_iter().find(|test| test.fields.has(Field::HttpBody)) else { return };
    let message = "`http.body` is always null here, because the rule does not read it".to_owned();
    let help = "write `egress: { mode: intercept, match_body: true }`";
    findings.push(subject.here(LINT.row.code, &test.expr.span, message).help(help));
}
