//! Would a secret travel in clear?

use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity};
use outcall_schema::artifact::manifest::InjectPart;

pub(super) const LINT: LintRow = LintRow {
    name: "secret-in-clear",
    family: Family::TooWide,
    row: CodeRow {
        code: "OC0278",
        severity: Severity::Warning,
        title: "a secret that would travel in clear",
        explain: "The rule is for plain HTTP alone, where the secret that it sets would be readable on the way and nobody \
verifies who receives it. So it is not set there, and the request is refused. Write `http.scheme == \"https\"`.",
        bad: Example::Rules(
            "- id: key\n  action: enrich\n  condition: http.host == \"api.example.com\" && http.scheme == \"http\"\n  inject:\n    - { header: Authorization, value: \"Bearer ${secret:api}\" }\n",
        ),
        good: Example::Rules(
            "- id: key\n  action: enrich\n  condition: http.host == \"api.example.com\" && http.scheme == \"https\"\n  inject:\n    - { header: Authorization, value: \"Bearer ${secret:api}\" }\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let secret = |part: &InjectPart| matches!(part, InjectPart::Secret(_));
    let over = subject.condition.over;
    if over.tls || !over.plain || !subject.rule.inject.iter().any(|inject| inject.value.iter().any(secret)) {
        return;
    }
    let message =
        "this is for plain HTTP alone, where everybody on the way would read the secret, so the request is refused"
            .to_owned();
    let help = "write `http.scheme == \"https\"`";
    findings.push(subject.here(LINT.row.code, &subject.condition.span, message).help(help));
}
