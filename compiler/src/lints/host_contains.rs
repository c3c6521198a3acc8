//! Is a host searched for a part, which may stand anywhere in it?

use super::condition::Op;
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};

pub(super) const LINT: LintRow = LintRow {
    name: "host-contains",
    family: Family::TooWide,
    row: CodeRow {
        code: "OC0261",
        severity: Severity::Warning,
        title: "a host that merely contains a text",
        explain: "A name belongs to whoever registered its end. `contains` finds its text anywhere, so that it is also true \
for a name that somebody else registered with the text in front. Compare the host, or test its end with `hostMatches`.",
        bad: Example::Rules("- id: docs\n  action: allow\n  condition: http.host.contains(\"example.com\")\n"),
        good: Example::Rules("- id: docs\n  action: allow\n  condition: hostMatches(http.host, \"**.example.com\")\n"),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    subject.widening(&mut |test, around| {
        let Some(atom) = test.atom.as_ref().filter(|atom| atom.op == Op::Contains && atom.is_host()) else { return };
        // Where the end is tested beside it, a part of the rest may be anything.
        if around.hosts.tests().iter().any(|other| other.exact().is_some() || other.under().is_some()) {
            return;
        }
        for (part, span) in atom.texts() {
            let joint = if part.ends_with('.') { "" } else { "." };
            let label = part.trim_start_matches(['.', '-']);
            let message = format!("this is also true for `{label}{joint}attacker.example`");
            let help = format!(
                "compare the whole host, or its end with `hostMatches({}, \"**.example.com\")`; {} may stand anywhere",
                atom.field.name(),
                quoted(part)
            );
            findings.push(subject.anywhere(LINT.row.code, span, message).help(help));
        }
    });
}
