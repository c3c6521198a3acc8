//! Are tests joined that no layer can make together?

use super::condition::{Fields, Layers, Shape};
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity};

pub(super) const LINT: LintRow = LintRow {
    name: "no-layer-knows-both",
    family: Family::Layer,
    row: CodeRow {
        code: "OC0242",
        severity: Severity::Warning,
        title: "tests that no layer can make together",
        explain: "Each layer knows a part of a request: the DNS filter the name that is asked for, the proxy the host of a \
request, the kernel an address. Tests that are joined with `&&` have to be made in one place. `dns.query == \
\"a\" && http.host == \"a\"` is never true, because no layer knows both; written with `||` each layer finds its \
own.",
        bad: Example::Rules(
            "- id: docs\n  action: allow\n  condition: dns.query == \"docs.example.com\" && http.host == \"docs.example.com\"\n",
        ),
        good: Example::Rules(
            "- id: docs\n  action: allow\n  condition: dns.query == \"docs.example.com\" || http.host == \"docs.example.com\"\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let asked = subject.asked();
    subject.condition.parts(&mut |part, _| {
        let Shape::All(parts) = &part.shape else { return };
        // Where one part alone is hopeless, that part is to be told.
        if !part.layers.and(asked).is_empty() || parts.iter().any(|part| part.layers.and(asked).is_empty()) {
            return;
        }
        let together = match conflict(part.asks, asked) {
            Some((first, second)) => format!("both `{first}` and `{second}`"),
            None => "all of these fields".to_owned(),
        };
        let message = format!("no layer knows {together}, so this is never true");
        let help = "join what each layer can know with `||`, or write a rule for each layer";
        findings.push(subject.here(LINT.row.code, &part.span, message).help(help));
    });
}

/// Two fields that no layer knows both of.
fn conflict(fields: Fields, asked: Layers) -> Option<(&'static str, &'static str)> {
    let apart = |one, other| Layers::knowing(one).and(Layers::knowing(other)).and(asked).is_empty();
    let of = |one| fields.iter().find(|other| apart(one, *other)).map(|other| (one.name(), other.name()));
    fields.iter().find_map(of)
}
