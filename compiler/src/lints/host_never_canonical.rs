//! Is a host compared with something that is none?

use super::literals::{HostFault, host_fault};
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};

pub(super) const LINT: LintRow = LintRow {
    name: "host-never-canonical",
    family: Family::Never,
    row: CodeRow {
        code: "OC0219",
        severity: Severity::Warning,
        title: "a host that is never written so",
        explain: "Hosts are compared in their canonical form: small letters, internationalised names as A-labels (`xn--...`), \
IPv4 addresses as four decimal numbers, IPv6 addresses compressed and without brackets. What can be read in \
two ways, such as `0x7f000001`, is refused before any rule is asked.",
        bad: Example::Rules("- id: books\n  action: allow\n  condition: http.host == \"bücher.example\"\n"),
        good: Example::Rules("- id: books\n  action: allow\n  condition: http.host == \"xn--bcher-kva.example\"\n"),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (atom, text, span) in subject.texts() {
        let Some(HostFault::Other(meant)) = host_fault(atom, text) else { continue };
        let message = format!("{} is never a host in its canonical form", quoted(text));
        let finding = subject.anywhere(LINT.row.code, span, message);
        findings.push(match meant {
            Some(meant) => subject.with_literal(finding.help(format!("write `{meant}`")), span, &meant),
            None => finding.help("write a name of letters, digits, `-` and `_`, or an address"),
        });
    }
}
