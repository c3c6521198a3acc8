//! Does a body of unknown size pass a bound?

use super::condition::{Op, Shape, Test};
use super::{Check, Context, Family, LintRow, Subject};
use crate::cel::typed::CompareOp;
use crate::diag::{CodeRow, Example, Finding, Severity};
use outcall_schema::field::Field;

pub(super) const LINT: LintRow = LintRow {
    name: "size-not-known",
    family: Family::ThreeValued,
    row: CodeRow {
        code: "OC0255",
        severity: Severity::Warning,
        title: "an upper bound that an unknown size passes",
        explain: "`http.body_size` is -1 where the length of a body is not known when its head is judged, as with chunked \
uploads. -1 is below every bound, so a body of any size passes `http.body_size < 1000`. Ask for the size to \
be known as well: `http.body_size >= 0`.",
        bad: Example::Rules(
            "- id: small\n  action: allow\n  condition: http.host == \"up.example.com\" && http.body_size < 1000\n  egress: { mode: intercept }\n",
        ),
        good: Example::Rules(
            "- id: small\n  action: allow\n  condition: http.host == \"up.example.com\" && http.body_size >= 0 && http.body_size < 1000\n  egress: { mode: intercept }\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let excluded = subject.tests().into_iter().any(|test| accepts(test) == Some(false));
    if excluded {
        return;
    }
    subject.condition.parts(&mut |part, _| {
        let Shape::Test(test) = &part.shape else { return };
        let bound = test.atom.as_ref().is_some_and(|atom| {
            matches!(atom.op, Op::Order(_))
                && atom.literals.iter().all(|literal| literal.int().is_some_and(|it| it >= 0))
        });
        // Where more is let through: by a bound that holds in an allow rule, or one that does not in a block rule.
        let grants = matches!(subject.rule.action, outcall_schema::decision::Action::Allow);
        if bound && accepts(test) == Some(true) && grants {
            let message = "a body whose size is not known (-1) passes this bound".to_owned();
            let help = "add `http.body_size >= 0`, so that chunked uploads of any size do not pass";
            findings.push(subject.here(LINT.row.code, &test.expr.span, message).help(help));
        }
    });
}

/// Whether a test of the size comes out as it must for -1; `None` for other tests.
fn accepts(test: &Test<'_>) -> Option<bool> {
    let atom = test.atom.as_ref().filter(|atom| atom.field == Field::HttpBodySize)?;
    let literals: Option<Vec<i64>> = atom.literals.iter().map(|literal| literal.int()).collect();
    let bound = *literals.as_ref()?.first()?;
    let holds = match atom.op {
        Op::Equals => literals?.contains(&-1),
        Op::Order(CompareOp::Lt) => -1 < bound,
        Op::Order(CompareOp::Le) => -1 <= bound,
        Op::Order(CompareOp::Gt) => -1 > bound,
        Op::Order(CompareOp::Ge) => -1 >= bound,
        _ => return None,
    };
    Some(holds == test.positive)
}
