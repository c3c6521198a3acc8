//! Do text records of any name resolve?

use super::condition::Op;
use super::hosts::Hosts;
use outcall_schema::decision::Action;
use outcall_schema::field::Field;

/// Record types that carry what anybody likes.
const FREE: [&str; 4] = ["TXT", "NULL", "ANY", "SPF"];
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};

pub(super) const LINT: LintRow = LintRow {
    name: "wildcard-text-records",
    family: Family::TooWide,
    row: CodeRow {
        code: "OC0273",
        severity: Severity::Warning,
        title: "text records of names that are not fixed",
        explain: "A TXT or NULL record carries any text, and the question for one carries any text in its name, so that a \
wildcard over such records is a tunnel to whoever answers for the domain. Name each name that is asked for, \
or allow addresses alone; A, AAAA, CNAME and HTTPS are what a rule without a test of the type allows.",
        bad: Example::Rules(
            "- id: records\n  action: allow\n  condition: hostMatches(dns.query, \"**.example.com\") && dns.record_type == \"TXT\"\n",
        ),
        good: Example::Rules(
            "- id: records\n  action: allow\n  condition: dns.query == \"_acme-challenge.example.com\" && dns.record_type == \"TXT\"\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    if !subject.is(Action::Allow) {
        return;
    }
    subject.condition.tests(&mut |test, around| {
        let types = |field, op| field == Field::DnsRecordType && op == Op::Equals;
        let Some(atom) = test.atom.as_ref().filter(|atom| types(atom.field, atom.op)) else { return };
        let named = |free: &&&str| atom.texts().any(|(text, _)| text == **free) == test.positive;
        let Some(free) = FREE.iter().find(named) else { return };
        let loose = match around.hosts {
            Hosts::Any => Some("any name".to_owned()),
            Hosts::Of(tests) => tests.iter().find(|test| test.exact().is_none()).map(|test| quoted(&test.shown())),
        };
        if let Some(loose) = loose {
            let message = format!("{free} records of {loose} carry data both ways");
            let help = "name each name that is asked for, or leave the type out to allow addresses alone";
            findings.push(subject.here(LINT.row.code, &test.expr.span, message).help(help));
        }
    });
}
