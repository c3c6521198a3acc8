//! Is a guard joined in a way that makes what it guards superfluous?

use super::condition::Shape;
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};

pub(super) const LINT: LintRow = LintRow {
    name: "guard-with-or",
    family: Family::ThreeValued,
    row: CodeRow {
        code: "OC0254",
        severity: Severity::Warning,
        title: "a guard joined with \"or\"",
        explain: "`has(http.headers.x) || http.headers.x == \"a\"` is true for every value of the header: where it is there the \
guard is true already, and where it is not the comparison is unknown. The guard is joined with `&&`; to \
count a missing header in, the guard is negated: `!has(http.headers.x) || ...`.",
        bad: Example::Rules(
            "- id: team\n  action: allow\n  condition: http.host == \"api.example.com\" && (has(http.headers.team) || http.headers.team == \"docs\")\n  egress: { mode: intercept }\n",
        ),
        good: Example::Rules(
            "- id: team\n  action: allow\n  condition: http.host == \"api.example.com\" && has(http.headers.team) && http.headers.team == \"docs\"\n  egress: { mode: intercept }\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    subject.condition.parts(&mut |part, _| {
        let Shape::Any(parts) = &part.shape else { return };
        let guards = parts.iter().filter_map(|part| match &part.shape {
            Shape::Test(test) if test.positive => match test.entry()? {
                (map, key, true) => Some((map, key, test)),
                _ => None,
            },
            _ => None,
        });
        for (map, key, guard) in guards {
            let reads = |part: &super::condition::Part<'_>| {
                let mut reads = false;
                part.tests(&mut |test, _| reads |= test.entry() == Some((map, key, false)));
                reads
            };
            // Another way to be true that does not need the entry makes the guard one of several conditions.
            if parts.iter().any(reads) {
                let message = format!("wherever {} is there this is true already, whatever its value", quoted(key));
                let help = "join the guard with `&&`; to count a missing entry in, negate it: `!has(...) || ...`";
                findings.push(subject.here(LINT.row.code, &guard.expr.span, message).help(help));
            }
        }
    });
}
