//! Is a number compared with one that it never is?

use super::condition::Op;
use super::{Check, Context, Family, LintRow, Subject};
use crate::cel::typed::CompareOp;
use crate::diag::{CodeRow, Example, Finding, Severity};
use outcall_schema::field::Field;

pub(super) const LINT: LintRow = LintRow {
    name: "number-out-of-range",
    family: Family::Never,
    row: CodeRow {
        code: "OC0224",
        severity: Severity::Warning,
        title: "a number that a field never has",
        explain: "Ports lie between 0 and 65535, status codes between 100 and 999, and the size of a body is -1 where it is \
not known and never less. A comparison with another number is always true or never.",
        bad: Example::Rules(
            "- id: games\n  action: allow\n  condition: http.host == \"games.example.com\" && network.port == 80443\n",
        ),
        good: Example::Rules(
            "- id: games\n  action: allow\n  condition: http.host == \"games.example.com\" && network.port == 8443\n",
        ),
    },
    check: Check::Rule(check),
};

/// The values of the fields that are numbers.
fn range(field: Field) -> Option<(i64, i64)> {
    match field {
        Field::NetworkPort => Some((0, 65_535)),
        Field::ResponseStatus => Some((100, 999)),
        Field::HttpBodySize => Some((-1, i64::MAX)),
        _ => None,
    }
}

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for test in subject.tests() {
        let Some(atom) = &test.atom else { continue };
        let Some((low, high)) = range(atom.field) else { continue };
        for literal in &atom.literals {
            let Some(value) = literal.int() else { continue };
            let outside = match atom.op {
                Op::Equals => value < low || value > high,
                // A bound just outside is a way to write all values or none, which nobody writes by mistake.
                Op::Order(CompareOp::Lt | CompareOp::Ge) => value < low || value > high.saturating_add(1),
                Op::Order(_) => value < low.saturating_sub(1) || value > high,
                _ => false,
            };
            if outside {
                let name = atom.field.name();
                let message = format!("`{name}` is never {value}");
                let help = if high == i64::MAX {
                    format!("it is {low} or more")
                } else {
                    format!("it lies between {low} and {high}")
                };
                findings.push(subject.anywhere(LINT.row.code, literal.span(), message).help(help));
            }
        }
    }
}
