//! Is a host compared with a URL or a part of one?

use super::literals::{HostFault, host_fault};
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};

pub(super) const LINT: LintRow = LintRow {
    name: "host-with-url-parts",
    family: Family::Never,
    row: CodeRow {
        code: "OC0217",
        severity: Severity::Warning,
        title: "a host with a part of a URL",
        explain: "A host field holds the host alone: no scheme, no port, no path. A comparison with anything more is never \
true. The port is `network.port`, the path `http.path`, the scheme `http.scheme`.",
        bad: Example::Rules("- id: docs\n  action: allow\n  condition: http.host == \"https://docs.example.com\"\n"),
        good: Example::Rules("- id: docs\n  action: allow\n  condition: http.host == \"docs.example.com\"\n"),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (atom, text, span) in subject.texts() {
        let Some(HostFault::Url(meant, what)) = host_fault(atom, text) else { continue };
        let message = format!("{} is never a host: it has {what} in it", quoted(text));
        let help = match (&meant, what) {
            (Some(meant), _) => format!("write `{meant}`"),
            (None, "a port") => "write the host alone, and test the port as `network.port == 8443`".to_owned(),
            (None, "a path") => "write the host alone, and test the path with `http.path`".to_owned(),
            (None, _) => "write the host alone".to_owned(),
        };
        let finding = subject.anywhere(LINT.row.code, span, message).help(help);
        findings.push(match meant {
            Some(meant) => subject.with_literal(finding, span, &meant),
            None => finding,
        });
    }
}
