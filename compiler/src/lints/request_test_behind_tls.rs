//! Does a rule test what a tunnel hides?

use outcall_schema::decision::Action;
use outcall_schema::field::Field;

use super::condition::{Around, REQUEST_FIELDS, Test};
use super::hosts::Hosts;
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity};

pub(super) const LINT: LintRow = LintRow {
    name: "request-test-behind-tls",
    family: Family::Layer,
    row: CodeRow {
        code: "OC0230",
        severity: Severity::Warning,
        title: "a test of a request that TLS hides",
        explain: "A TLS connection that nothing terminates is a tunnel: its method is `CONNECT`, its path is `/`, and headers \
and bodies are not seen. A test of another method, path, header or body is never true there, so an allow rule with it is for \
plain HTTP alone. Write `mode: intercept`, list the host under `interception.hosts`, or say with `http.scheme == \"http\"` \
that plain HTTP is meant.",
        bad: Example::Rules(
            "- id: api\n  action: allow\n  condition: http.host == \"api.example.com\" && http.method == \"GET\"\n",
        ),
        good: Example::Rules(
            "- id: api\n  action: allow\n  condition: http.host == \"api.example.com\" && http.method == \"GET\"\n  egress: { mode: intercept }\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(context: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let ports = subject.rule.egress.as_ref().map(|egress| egress.ports.as_slice()).unwrap_or_default();
    let plain = !ports.is_empty() && ports.iter().all(|range| (range.low, range.high) == (80, 80));
    if !subject.is(Action::Allow) || plain {
        return;
    }
    let mut hidden: Option<(&Test<'_>, Around<'_, '_>)> = None;
    subject.condition.parts(&mut |part, around| {
        if let super::condition::Shape::Test(test) = &part.shape
            && hidden.is_none()
            && test.fields.meets(&REQUEST_FIELDS)
            && !part.over.tunnel
            && part.over.and(around.over).tls
            && context.inside.never(subject.rule, around.hosts)
        {
            hidden = Some((test, around));
        }
    });
    let Some((test, around)) = hidden else { return };
    let field = test.fields.iter().find(|field| REQUEST_FIELDS.contains(field)).unwrap_or(Field::HttpPath);
    let hosts = match around.hosts {
        Hosts::Of(tests) if tests.len() == 1 => tests.iter().map(|test| format!(" to `{}`", test.shown())).collect(),
        _ => String::new(),
    };
    let left = if around.over.plain { "this allows plain HTTP alone" } else { "this allows nothing" };
    let message = format!("`{}` is not seen in TLS connections{hosts}, so {left}", field.name());
    let help = "write `mode: intercept`, or list the host under `interception.hosts`; where plain HTTP is meant, say \
                `http.scheme == \"http\"`";
    findings.push(subject.here(LINT.row.code, &test.expr.span, message).help(help));
}
