//! Is a header taken as proof of who asks?

use super::condition::Op;
use outcall_schema::field::Field;

/// Headers in which a client says who or where it is.
const CLAIMS: [&str; 12] = [
    "user-agent",
    "referer",
    "origin",
    "from",
    "via",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-user",
    "x-real-ip",
    "x-client-ip",
    "x-originating-ip",
];
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};

pub(super) const LINT: LintRow = LintRow {
    name: "header-as-identity",
    family: Family::TooWide,
    row: CodeRow {
        code: "OC0277",
        severity: Severity::Warning,
        title: "a header as proof of who asks",
        explain: "The program in the sandbox writes every header itself, and these are the ones in which it says who it is or \
where it comes from. A rule that allows more because of them allows it to whoever writes the same. Use \
`agent.name`, which the host vouches for.",
        bad: Example::Rules(
            "- id: ci\n  action: allow\n  condition: http.host == \"api.example.com\" && \"user-agent\" in http.headers && http.headers[\"user-agent\"] == \"ci/1.0\"\n  egress: { mode: intercept }\n",
        ),
        good: Example::Rules(
            "- id: ci\n  action: allow\n  condition: http.host == \"api.example.com\" && agent.name == \"ci\"\n  egress: { mode: intercept }\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    subject.widening(&mut |test, _| {
        let Some(atom) = test.atom.as_ref().filter(|it| it.field == Field::HttpHeaders && it.op != Op::Present) else {
            return;
        };
        if let Some(key) = atom.key.filter(|key| CLAIMS.contains(key)) {
            let message = format!("the agent itself writes the header {}", quoted(key));
            let help = "test `agent.name`, which the host vouches for";
            findings.push(subject.here(LINT.row.code, &test.expr.span, message).help(help));
        }
    });
}
