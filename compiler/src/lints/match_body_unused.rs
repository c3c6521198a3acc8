//! Is a body read that no condition looks at?

use super::{Check, Context, Family, LintRow, Subject};
use crate::decide::lower;
use crate::diag::{CodeRow, Example, Finding, Severity};
use outcall_schema::field::Field;

pub(super) const LINT: LintRow = LintRow {
    name: "match-body-unused",
    family: Family::Layer,
    row: CodeRow {
        code: "OC0232",
        severity: Severity::Warning,
        title: "a body that is read for nothing",
        explain: "`match_body: true` has the whole body of each request read into memory before the rule can decide, and the \
condition does not look at it. Bodies over the cap would be refused for nothing.",
        bad: Example::Rules(
            "- id: api\n  action: allow\n  condition: http.host == \"api.example.com\"\n  egress: { mode: intercept, match_body: true }\n",
        ),
        good: Example::Rules(
            "- id: api\n  action: allow\n  condition: http.host == \"api.example.com\"\n  egress: { mode: intercept }\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let rule = subject.rule;
    let reads = rule.egress.as_ref().is_some_and(|egress| egress.match_body);
    let Some(place) = rule.written.match_body.as_ref().filter(|_| reads) else { return };
    if lower::reads_field(&rule.condition, Field::HttpBody) {
        return;
    }
    let message = "the condition does not look at `http.body`".to_owned();
    let finding = Finding::at(LINT.row.code, place.clone(), message).help("leave `match_body` out");
    findings.push(finding.fix(place.clone(), "match_body: false"));
}
