//! Does a tunnel pass a test that was to keep requests out?

use super::condition::{Op, Shape, Test};
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity};
use outcall_schema::decision::Action;
use outcall_schema::field::Field;

pub(super) const LINT: LintRow = LintRow {
    name: "tunnel-passes-request-test",
    family: Family::Layer,
    row: CodeRow {
        code: "OC0231",
        severity: Severity::Warning,
        title: "a test of a request that a tunnel passes",
        explain: "A TLS connection that nothing terminates is judged as a whole: its method is `CONNECT` and its path is `/`. \
A test such as `http.method != \"DELETE\"` is true of it, so the tunnel is allowed, and with it every request \
inside, the ones that the test was to keep out included. Write `mode: intercept`, so that requests are \
judged one by one.",
        bad: Example::Rules(
            "- id: api\n  action: allow\n  condition: http.host == \"api.example.com\" && http.method != \"DELETE\"\n",
        ),
        good: Example::Rules(
            "- id: api\n  action: allow\n  condition: http.host == \"api.example.com\" && http.method != \"DELETE\"\n  egress: { mode: intercept }\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(context: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    if !subject.is(Action::Allow) {
        return;
    }
    subject.condition.parts(&mut |part, around| {
        let Shape::Test(test) = &part.shape else { return };
        // One that is only true of tunnels says what it means.
        let passes = part.over.and(around.over).tunnel && part.over.and(around.over).tls;
        if !passes || !limits(test) || !context.inside.never(subject.rule, around.hosts) {
            return;
        }
        let method = test.fields.has(Field::HttpMethod);
        let (field, value) = if method { ("method", "CONNECT") } else { ("path", "/") };
        let message =
            format!("a TLS tunnel passes this test, its {field} being `{value}`, and so does all that is inside it");
        let help =
            "write `mode: intercept` to judge each request; where tunnels are meant, say `http.method == \"CONNECT\"`";
        findings.push(subject.here(LINT.row.code, &test.expr.span, message).help(help));
    });
}

/// Whether a test of method or path was to keep some requests out.
fn limits(test: &Test<'_>) -> bool {
    // What compares a method with another field may come out either way.
    let Some(atom) = &test.atom else { return false };
    match atom.field {
        Field::HttpMethod => true,
        // Every path begins with a slash.
        Field::HttpPath => atom.op != Op::Prefix || !test.positive,
        _ => false,
    }
}
