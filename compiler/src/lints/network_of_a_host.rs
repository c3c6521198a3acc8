//! Is a name looked for in a network?

use super::condition::Op;
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity};
use outcall_schema::field::Field;

pub(super) const LINT: LintRow = LintRow {
    name: "network-of-a-host",
    family: Family::Layer,
    row: CodeRow {
        code: "OC0240",
        severity: Severity::Warning,
        title: "a host tested like an address",
        explain: "`http.host` is what stands in the request, mostly a name, and a name lies in no network: `inCidr(http.host, \
...)` is only true where the request names a bare address. The address that a name resolves to is \
`network.ip`.",
        bad: Example::Rules("- id: no-internal\n  action: block\n  condition: inCidr(http.host, \"10.0.0.0/8\")\n"),
        good: Example::Rules("- id: no-internal\n  action: block\n  condition: inCidr(network.ip, \"10.0.0.0/8\")\n"),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let tests = subject.tests();
    // Beside a test of the address itself it is meant for bare addresses.
    if tests.iter().any(|test| test.fields.has(Field::NetworkIp)) {
        return;
    }
    for test in tests {
        let Some(atom) = test.atom.as_ref().filter(|atom| atom.op == Op::InCidr && atom.field != Field::NetworkIp)
        else {
            continue;
        };
        let message = format!("`{}` is a name, which lies in no network", atom.field.name());
        let help = "test `network.ip`, the address that the name resolved to";
        findings.push(subject.anywhere(LINT.row.code, &test.expr.span, message).help(help));
    }
}
