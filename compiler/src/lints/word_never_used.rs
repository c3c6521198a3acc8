//! Is one of a few words spelt as it never is?

use super::condition::Atom;
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};
use outcall_schema::field::Field;

pub(super) const LINT: LintRow = LintRow {
    name: "word-never-used",
    family: Family::Never,
    row: CodeRow {
        code: "OC0225",
        severity: Severity::Warning,
        title: "a word that a field never has",
        explain: "`http.scheme` is `http` or `https`, `network.protocol` is `tcp`, `udp`, `icmp` and so on in small letters, \
and `dns.record_type` is `A`, `AAAA`, `TXT` and so on in capitals. A comparison with another spelling is \
never true.",
        bad: Example::Rules(
            "- id: names\n  action: allow\n  condition: dns.query == \"docs.example.com\" && dns.record_type == \"txt\"\n",
        ),
        good: Example::Rules(
            "- id: names\n  action: allow\n  condition: dns.query == \"docs.example.com\" && dns.record_type == \"TXT\"\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (atom, text, span) in subject.texts() {
        let Some(meant) = meant(atom, text) else { continue };
        let message = format!("`{}` is never {}", atom.field.name(), quoted(text));
        let finding = subject.anywhere(LINT.row.code, span, message);
        findings.push(if meant.is_empty() {
            finding.help("it is `http` or `https`")
        } else {
            subject.with_literal(finding.help(format!("write `{meant}`")), span, &meant)
        });
    }
}

/// What a word was meant to be that the field never has; empty where that cannot be told.
fn meant(atom: &Atom<'_>, text: &str) -> Option<String> {
    if !atom.compares() || atom.folded.is_some() {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    match atom.field {
        Field::HttpScheme => match lower.trim_end_matches("://") {
            _ if ["http", "https"].iter().any(|scheme| atom.fits(scheme, text)) => None,
            scheme @ ("http" | "https") => Some(scheme.to_owned()),
            _ => Some(String::new()),
        },
        Field::NetworkProtocol => (lower != text).then_some(lower),
        Field::DnsRecordType => {
            let upper = text.to_ascii_uppercase();
            (upper != text).then_some(upper)
        }
        _ => None,
    }
}
