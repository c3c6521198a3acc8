//! Is the same test made twice?

use super::condition::{Op, Shape};
use super::{Check, Context, Family, LintRow, Subject};
use crate::decide::lower;
use crate::diag::{CodeRow, Example, Finding, Severity};
use std::collections::HashSet;

pub(super) const LINT: LintRow = LintRow {
    name: "test-repeated",
    family: Family::Style,
    row: CodeRow {
        code: "OC0296",
        severity: Severity::Warning,
        title: "a test that is made twice",
        explain: "The same test stands in the same conjunction or list twice. One of them does nothing, and probably was to be \
another.",
        bad: Example::Rules(
            "- id: docs\n  action: allow\n  condition: http.host == \"a.example.com\" || http.host == \"a.example.com\"\n",
        ),
        good: Example::Rules(
            "- id: docs\n  action: allow\n  condition: http.host == \"a.example.com\" || http.host == \"b.example.com\"\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    subject.condition.parts(&mut |part, _| {
        let parts = match &part.shape {
            Shape::All(parts) | Shape::Any(parts) => parts,
            Shape::Test(test) => {
                let Some(atom) = test.atom.as_ref().filter(|atom| atom.op == Op::Equals && atom.literals.len() > 1)
                else {
                    return;
                };
                let mut seen = HashSet::new();
                for literal in &atom.literals {
                    if !seen.insert((literal.text(), literal.int())) {
                        let message = "the list has this twice".to_owned();
                        let finding = subject.anywhere(LINT.row.code, literal.span(), message);
                        findings.push(finding.help("remove it, or write what was meant"));
                    }
                }
                return;
            }
        };
        let mut seen = HashSet::new();
        for part in parts {
            let Shape::Test(test) = &part.shape else { continue };
            if !seen.insert((lower::key(test.expr), test.positive)) {
                let message = "this is tested twice".to_owned();
                let finding = subject.here(LINT.row.code, &test.expr.span, message);
                findings.push(finding.help("remove it, or write what was meant"));
            }
        }
    });
}
