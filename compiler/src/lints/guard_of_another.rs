//! Does a guard guard another header than the one that is read?

use super::condition::{Shape, Test};
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};
use outcall_schema::decision::Action;
use outcall_schema::field::Field;
use std::collections::HashSet;

pub(super) const LINT: LintRow = LintRow {
    name: "guard-of-another",
    family: Family::ThreeValued,
    row: CodeRow {
        code: "OC0253",
        severity: Severity::Warning,
        title: "a guard for another header",
        explain: "The condition makes sure that one header is there and then reads another. Where that one is missing the test \
is unknown, so the rule does not apply, and the guard guards nothing; one of the two names is probably a \
slip of the pen.",
        bad: Example::Rules(
            "- id: team\n  action: allow\n  condition: http.host == \"api.example.com\" && has(http.headers.team) && http.headers.teem == \"docs\"\n  egress: { mode: intercept }\n",
        ),
        good: Example::Rules(
            "- id: team\n  action: allow\n  condition: http.host == \"api.example.com\" && has(http.headers.team) && http.headers.team == \"docs\"\n  egress: { mode: intercept }\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    // In a block rule it is an error.
    if subject.is(Action::Block) {
        return;
    }
    let entries: Vec<_> = subject.tests().into_iter().filter_map(Test::entry).collect();
    let of = |guard| entries.iter().filter(move |(.., is)| *is == guard).map(|(map, key, _)| (*map, *key));
    let (read, guarded): (HashSet<_>, HashSet<_>) = (of(false).collect(), of(true).collect());
    if guarded.is_empty() || read.is_empty() {
        return;
    }
    subject.condition.parts(&mut |part, _| {
        let Shape::All(parts) = &part.shape else { return };
        let tests = || {
            parts.iter().filter_map(|part| match &part.shape {
                Shape::Test(test) => Some(test),
                Shape::All(_) | Shape::Any(_) => None,
            })
        };
        // A guard without a reader beside a reader without a guard, both in the same map.
        for guard in tests().filter(|test| test.positive) {
            let Some((map, name, true)) = guard.entry() else { continue };
            let lone =
                |(field, key, is): &(Field, &str, bool)| *field == map && !is && !guarded.contains(&(*field, *key));
            if read.contains(&(map, name)) {
                continue;
            }
            if let Some((_, key, _)) = tests().filter_map(Test::entry).find(lone) {
                let message = format!("{} is guarded, and {} is what is read", quoted(name), quoted(key));
                let help = format!("guard the entry that is read: `\"{key}\" in {}`", map.name());
                findings.push(subject.here(LINT.row.code, &guard.expr.span, message).help(help));
            }
        }
    });
}
