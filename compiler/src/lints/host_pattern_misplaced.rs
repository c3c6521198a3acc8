//! Is a host pattern matched against something that is no host?

use super::condition::Op;
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};
use outcall_schema::field::{Field, FieldType};
use outcall_schema::host::HostPattern;

pub(super) const LINT: LintRow = LintRow {
    name: "host-pattern-misplaced",
    family: Family::Never,
    row: CodeRow {
        code: "OC0227",
        severity: Severity::Warning,
        title: "a host pattern for what is no host",
        explain: "`hostMatches` tests a host: `http.host`, `network.hostname`, `tls.sni` or `dns.query`. Paths, addresses and \
agents' names are none, and a pattern so long that no label fits before it has no name either.",
        bad: Example::Rules(
            "- id: docs\n  action: allow\n  condition: hostMatches(network.ip, \"*.example.com\") && network.port == 443\n",
        ),
        good: Example::Rules(
            "- id: docs\n  action: allow\n  condition: hostMatches(http.host, \"*.example.com\") && network.port == 443\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (atom, text, span) in subject.texts().into_iter().filter(|(atom, ..)| atom.op == Op::HostMatches) {
        let text_field = matches!(atom.field.row().ty, FieldType::String | FieldType::NullableString);
        let exact = !text.starts_with('*');
        // An address is a host; a name or an agent may be called like one.
        let ours = atom.is_host() || !text_field || (exact && atom.field != Field::HttpPath);
        let (message, help) = if !ours {
            let message = format!("`{}` is no host, and {} is a pattern for hosts", atom.field.name(), quoted(text));
            (message, "test `http.host`, or `dns.query` for names; an address with `inCidr`")
        } else if HostPattern::parse(text).is_err() {
            (format!("no name is short enough for the pattern {}", quoted(text)), "a name has at most 253 characters")
        } else {
            continue;
        };
        findings.push(subject.anywhere(LINT.row.code, span, message).help(help));
    }
}
