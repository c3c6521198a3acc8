//! Is a port tested that the rule does not open?

use super::condition::Op;
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity};
use outcall_schema::field::Field;

pub(super) const LINT: LintRow = LintRow {
    name: "port-not-opened",
    family: Family::Layer,
    row: CodeRow {
        code: "OC0243",
        severity: Severity::Warning,
        title: "a port that the rule does not open",
        explain: "`egress.ports` are the ports the rule opens, and a request to another port is not allowed by it, whatever \
its condition says.",
        bad: Example::Rules(
            "- id: git\n  action: allow\n  condition: http.host == \"git.example.com\" && network.port == 8443\n  egress: { ports: [443] }\n",
        ),
        good: Example::Rules(
            "- id: git\n  action: allow\n  condition: http.host == \"git.example.com\" && network.port == 8443\n  egress: { ports: [8443] }\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let Some(egress) = subject.rule.egress.as_ref().filter(|egress| !egress.ports.is_empty()) else { return };
    subject.positive(&mut |test, _| {
        let Some(atom) = test.atom.as_ref().filter(|atom| atom.field == Field::NetworkPort && atom.op == Op::Equals)
        else {
            return;
        };
        for literal in &atom.literals {
            let Some(port) = literal.int().and_then(|port| u16::try_from(port).ok()) else { continue };
            if !egress.ports.iter().any(|range| (range.low..=range.high).contains(&port)) {
                let message = format!("the rule does not open port {port}");
                let help = match subject.rule.written.ports {
                    Some(_) => format!("add it: `egress: {{ ports: [{port}] }}`"),
                    None => format!("it opens 80 and 443; write `ports: [{port}]` beside the mode"),
                };
                findings.push(subject.here(LINT.row.code, literal.span(), message).help(help));
            }
        }
    });
}
