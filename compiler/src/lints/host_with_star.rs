//! Is a host compared with a pattern?

use super::condition::Op;
use super::literals::{HostFault, host_fault, host_pattern};
use super::{Check, Context, Family, LintRow, Subject};
use crate::cel::typed::{CompareOp, ExprKind};
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};

pub(super) const LINT: LintRow = LintRow {
    name: "host-with-star",
    family: Family::Never,
    row: CodeRow {
        code: "OC0218",
        severity: Severity::Warning,
        title: "a star in a comparison",
        explain: "A comparison takes a star for a star, which no host has in it, so it is never true. Wildcards are what \
`hostMatches` is for: `*.example.com` is one more label, `**.example.com` one or more.",
        bad: Example::Rules("- id: docs\n  action: allow\n  condition: http.host == \"*.example.com\"\n"),
        good: Example::Rules("- id: docs\n  action: allow\n  condition: hostMatches(http.host, \"*.example.com\")\n"),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for test in subject.tests() {
        let Some(atom) = &test.atom else { continue };
        for (text, span) in atom.texts() {
            if host_fault(atom, text) != Some(HostFault::Wildcard) {
                continue;
            }
            let message = format!("no host has a star in it, so this is never equal to {}", quoted(text));
            let pattern = host_pattern(text).filter(|_| atom.op == Op::Equals);
            let name = atom.field.name();
            let help = match &pattern {
                Some(pattern) => format!("write `hostMatches({name}, \"{pattern}\")`"),
                None => format!("write `hostMatches({name}, \"*.example.com\")`, or test the part without the star"),
            };
            let finding = subject.anywhere(LINT.row.code, span, message).help(help);
            let not = match &test.expr.kind {
                ExprKind::Compare(CompareOp::Eq, ..) => Some(""),
                ExprKind::Compare(CompareOp::Ne, ..) => Some("!"),
                _ => None,
            };
            findings.push(match (pattern, not.filter(|_| atom.folded.is_none())) {
                (Some(pattern), Some(not)) => {
                    let call = format!("{not}hostMatches({name}, \"{pattern}\")");
                    subject.with_expression(finding, &test.expr.span, &call)
                }
                _ => finding,
            });
        }
    }
}
