//! Does a rule intercept a host that is never intercepted?

use super::hosts::HostTest;
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};
use outcall_schema::egress::EgressMode;

pub(super) const LINT: LintRow = LintRow {
    name: "intercept-bypassed",
    family: Family::Layer,
    row: CodeRow {
        code: "OC0236",
        severity: Severity::Warning,
        title: "interception of a host that is bypassed",
        explain: "`interception.bypass` wins: TLS to these hosts is never terminated, whatever a rule's mode is. The rule \
allows or refuses the tunnel as a whole, so tests of what is inside do not work as it reads.",
        bad: Example::File(
            "version: \"1\"\ninterception:\n  bypass: [\"bank.example.com\"]\nrules:\n  - id: bank\n    action: allow\n    condition: http.host == \"bank.example.com\"\n    egress: { mode: intercept }\n",
        ),
        good: Example::File(
            "version: \"1\"\ninterception:\n  bypass: [\"bank.example.com\"]\nrules:\n  - id: bank\n    action: allow\n    condition: http.host == \"bank.example.com\"\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(context: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    if subject.mode() != Some(EgressMode::Intercept) || context.inside.bypass.is_empty() {
        return;
    }
    subject.positive(&mut |test, _| {
        let Some(atom) = test.atom.as_ref().filter(|atom| atom.is_host()) else { return };
        for (text, span) in atom.texts() {
            let host = HostTest { op: atom.op, text, span: span.clone() };
            if context.inside.bypass.holds_all(&host) {
                let message =
                    format!("`interception.bypass` keeps TLS to {} closed, whatever the mode", quoted(&host.shown()));
                let help = "take it off the list, or write the rule for a tunnel, with `mode: proxy`";
                findings.push(subject.here(LINT.row.code, span, message).help(help));
            }
        }
    });
}
