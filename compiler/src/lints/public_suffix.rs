//! Is everything below a public suffix allowed?

use super::condition::Op;
use super::suffixes::{Public, public};
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};

pub(super) const LINT: LintRow = LintRow {
    name: "public-suffix",
    family: Family::TooWide,
    row: CodeRow {
        code: "OC0264",
        severity: Severity::Warning,
        title: "everything below a public suffix",
        explain: "Below a public suffix (`com`, `co.uk`, `github.io` and so on; the list is the one that browsers use) anybody \
can register a name and answer there. A rule that allows all of them allows the agent to talk to whoever it \
likes. Name the domains that are meant.",
        bad: Example::Rules("- id: uk\n  action: allow\n  condition: hostMatches(http.host, \"**.co.uk\")\n"),
        good: Example::Rules("- id: uk\n  action: allow\n  condition: hostMatches(http.host, \"**.example.co.uk\")\n"),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    subject.widening(&mut |test, around| {
        let Some(atom) = test.atom.as_ref().filter(|atom| atom.is_host()) else { return };
        let limited = around
            .hosts
            .tests()
            .iter()
            .any(|other| other.exact().is_some() || other.under().is_some_and(|base| public(base).is_none()));
        if limited {
            return;
        }
        for (text, span) in atom.texts() {
            let base = match atom.op {
                Op::HostMatches => text.strip_prefix("**.").or_else(|| text.strip_prefix("*.")),
                Op::Suffix => Some(text.strip_prefix('.').unwrap_or(text)),
                _ => None,
            };
            let Some((base, kind)) = base.and_then(|base| Some((base, public(base)?))) else { continue };
            let (message, help) = match kind {
                Public::Registry => (
                    format!("anybody can register a name below {}", quoted(base)),
                    format!("name the domains that are meant, as `**.example.{base}`"),
                ),
                Public::Customers => (
                    format!("what is below {} belongs to its customers, each to another", quoted(base)),
                    format!("name the hosts that are meant, as `example.{base}`"),
                ),
            };
            findings.push(subject.anywhere(LINT.row.code, span, message).help(help));
        }
    });
}
