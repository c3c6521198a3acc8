//! Is a negative test of something that may be missing?

use super::{Check, Context, Family, LintRow, Subject};
use crate::cel;
use crate::diag::{CodeRow, Example, Finding, Severity};
use outcall_schema::decision::Action;
use outcall_schema::field::Field;

pub(super) const LINT: LintRow = LintRow {
    name: "negation-of-unknown",
    family: Family::ThreeValued,
    row: CodeRow {
        code: "OC0251",
        severity: Severity::Warning,
        title: "a negative test of what may be missing",
        explain: "A test of a header that is not there, or of a body that is null because it is too large, is neither true nor \
false, and neither is its negation. `http.headers[\"x-env\"] != \"prod\"` reads as if it were true without the \
header, and is not, so that the rule does not apply there. Say what is meant: `!has(...) || ...` where a \
missing value counts, `has(...) && ...` where it does not.",
        bad: Example::Rules(
            "- id: staging\n  action: allow\n  condition: http.host == \"api.example.com\" && http.headers[\"x-env\"] != \"prod\"\n  egress: { mode: intercept }\n",
        ),
        good: Example::Rules(
            "- id: staging\n  action: allow\n  condition: http.host == \"api.example.com\" && (!(\"x-env\" in http.headers) || http.headers[\"x-env\"] != \"prod\")\n  egress: { mode: intercept }\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    // In a block rule it is an error.
    if subject.is(Action::Block) {
        return;
    }
    let fields = [Field::HttpHeaders, Field::HttpBody, Field::ResponseHeaders, Field::RunContext];
    let negative = |test: &super::condition::Test<'_>| !test.positive && test.fields.meets(&fields);
    let tests: Vec<_> = subject.tests().into_iter().filter(|test| negative(test)).collect();
    if tests.is_empty() {
        return;
    }
    for cel::Fallible { range, guard, why } in cel::fallible(&subject.rule.condition) {
        let around =
            |test: &&super::condition::Test<'_>| test.expr.span.start <= range.start && range.end <= test.expr.span.end;
        if guard.is_empty() || !tests.iter().any(around) {
            continue;
        }
        let message = format!("this is not true where {}, so the rule does not apply then", missing(&why));
        let help =
            format!("write `!({guard}) || ...` to apply then as well, `{guard} && ...` if that is how it is meant");
        findings.push(subject.here(LINT.row.code, &range, message).help(help));
    }
}

/// When a part has no value, in words that go on a sentence.
fn missing(why: &str) -> String {
    why.replace(" may have ", " has ").replace(" may be ", " is ")
}
