//! Is a host tested by its beginning alone?

use super::condition::Op;
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity};

pub(super) const LINT: LintRow = LintRow {
    name: "host-prefix",
    family: Family::TooWide,
    row: CodeRow {
        code: "OC0274",
        severity: Severity::Warning,
        title: "a host by its beginning",
        explain: "A name belongs to whoever registered its end. `startsWith(\"api.\")` is true for `api.` below any domain, and \
`startsWith(\"10.\")` for a name that begins so, too. Test the end, with `hostMatches` or `endsWith`.",
        bad: Example::Rules("- id: api\n  action: allow\n  condition: http.host.startsWith(\"api.\")\n"),
        good: Example::Rules(
            "- id: api\n  action: allow\n  condition: http.host.startsWith(\"api.\") && http.host.endsWith(\".example.com\")\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    subject.widening(&mut |test, around| {
        let Some(atom) = test.atom.as_ref().filter(|atom| atom.op == Op::Prefix && atom.is_host()) else { return };
        let ends = |other: &super::hosts::HostTest<'_>| {
            other.exact().is_some() || other.under().is_some() || matches!(other.op, Op::Suffix | Op::Matches)
        };
        if around.hosts.tests().iter().any(ends) {
            return;
        }
        for (text, span) in atom.texts().filter(|(text, _)| !text.is_empty() && !text.contains(':')) {
            let joint = if text.ends_with('.') { "" } else { "." };
            let message = format!("this is also true for `{text}{joint}attacker.example`");
            let help = format!("test the end as well: `hostMatches({}, \"**.example.com\")`", atom.field.name());
            findings.push(subject.anywhere(LINT.row.code, span, message).help(help));
        }
    });
}
