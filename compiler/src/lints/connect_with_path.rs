//! Is a CONNECT request expected to have what only other requests have?

use super::condition::{REQUEST_FIELDS, Shape};
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity};
use outcall_schema::field::Field;

pub(super) const LINT: LintRow = LintRow {
    name: "connect-with-path",
    family: Family::Layer,
    row: CodeRow {
        code: "OC0235",
        severity: Severity::Warning,
        title: "a tunnel with a path",
        explain: "A request with the method `CONNECT` asks for a tunnel. It has no headers or body that rules see, and its \
path is `/`. Joined with a test of another path, it is never true.",
        bad: Example::Rules(
            "- id: git\n  action: allow\n  condition: http.host == \"git.example.com\" && http.method == \"CONNECT\" && http.path.startsWith(\"/team/\")\n",
        ),
        good: Example::Rules(
            "- id: git\n  action: allow\n  condition: http.host == \"git.example.com\" && http.path.startsWith(\"/team/\")\n  egress: { mode: intercept }\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    subject.condition.parts(&mut |part, around| {
        let Shape::Test(test) = &part.shape else { return };
        let over = around.over;
        // All that is left beside it are tunnels.
        if !over.tunnel || over.tls || over.plain || part.over.tunnel || !test.fields.meets(&REQUEST_FIELDS) {
            return;
        }
        let field = test.fields.iter().find(|field| REQUEST_FIELDS.contains(field)).unwrap_or(Field::HttpPath);
        let message = match field {
            Field::HttpPath => "the path of a `CONNECT` request is `/`, so this is never true".to_owned(),
            _ => format!("rules see no `{}` of a `CONNECT` request, so this is never true", field.name()),
        };
        let help = "to judge what is inside the tunnel write `mode: intercept`, and leave `CONNECT` out";
        findings.push(subject.here(LINT.row.code, &test.expr.span, message).help(help));
    });
}
