//! Does a host's suffix end within a label?

use outcall_schema::host::Host;

use super::condition::Op;
use super::suffixes::registered;
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};

pub(super) const LINT: LintRow = LintRow {
    name: "suffix-without-dot",
    family: Family::TooWide,
    row: CodeRow {
        code: "OC0260",
        severity: Severity::Warning,
        title: "a host's suffix without a dot",
        explain: "`endsWith(\"example.com\")` is also true for `evilexample.com`, a name that anybody can register. Begin the \
suffix with a dot, or write `hostMatches`; both leave `example.com` itself out, which is a comparison of its own.",
        bad: Example::Rules("- id: docs\n  action: allow\n  condition: http.host.endsWith(\"example.com\")\n"),
        good: Example::Rules(
            "- id: docs\n  action: allow\n  condition: http.host == \"example.com\" || http.host.endsWith(\".example.com\")\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    subject.widening(&mut |test, _| {
        let Some(atom) = test.atom.as_ref().filter(|atom| atom.op == Op::Suffix && atom.is_host()) else { return };
        for (suffix, span) in atom.texts().filter(|(suffix, _)| !suffix.starts_with('.')) {
            // A suffix that can follow nothing but a dot, or that no host has, is another lint's.
            let other = format!("evil{suffix}");
            let canonical = Host::parse(&other).is_ok_and(|host| host.as_text() == other);
            if !canonical || registered(&other).is_none() {
                continue;
            }
            let message = format!("the suffix {} also fits `{other}`", quoted(suffix));
            let help =
                format!("begin it with a dot; for the name itself add `|| {} == \"{suffix}\"`", atom.field.name());
            let finding = subject.anywhere(LINT.row.code, span, message).help(help);
            findings.push(subject.with_literal(finding, span, &format!(".{suffix}")));
        }
    });
}
