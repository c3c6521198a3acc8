//! Does a rule test what rules of its kind never see?

use super::condition::Shape;
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity};
use outcall_schema::decision::Action;

pub(super) const LINT: LintRow = LintRow {
    name: "field-never-asked",
    family: Family::Layer,
    row: CodeRow {
        code: "OC0241",
        severity: Severity::Warning,
        title: "a field that rules of this kind never see",
        explain: "Allow and block rules decide about requests, before there is a response, so `response.status` and \
`response.headers` are never known to them. Hold and enrich rules are about messages, so names and packets \
(`dns.query`, `dns.record_type`) never reach them. The test is unknown and the rule never applies.",
        bad: Example::Rules("- id: errors\n  action: block\n  condition: response.status == 500\n"),
        good: Example::Rules(
            "- id: errors\n  action: hold\n  condition: response.status == 500\n  hold: { direction: response }\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let asked = subject.asked();
    subject.condition.parts(&mut |part, _| {
        let Shape::Test(test) = &part.shape else { return };
        if part.layers.is_empty() || !part.layers.and(asked).is_empty() {
            return;
        }
        let field = test.fields.iter().next().map(|field| field.name()).unwrap_or_default();
        let action = subject.rule.action.name();
        let message = format!("`{field}` is never known where {action} rules are asked");
        let help = match subject.rule.action {
            Action::Allow | Action::Block => "responses are seen by `hold` and `enrich` rules alone; test the request",
            Action::Hold | Action::Enrich => {
                "names and packets are decided by `allow` and `block` rules; test `http.host`"
            }
        };
        findings.push(subject.here(LINT.row.code, &test.expr.span, message).help(help));
    });
}
