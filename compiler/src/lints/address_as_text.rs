//! Is an address tested as text?

use super::condition::Op;
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};
use outcall_schema::field::Field;

pub(super) const LINT: LintRow = LintRow {
    name: "address-as-text",
    family: Family::TooWide,
    row: CodeRow {
        code: "OC0275",
        severity: Severity::Warning,
        title: "an address tested as text",
        explain: "`startsWith(\"10.1\")` is true for 10.1.0.0 and for 10.100.0.0, 10.19.0.0 and so on, and one address of IPv6 \
has texts that share no beginning with its network. Networks are tested with `inCidr`, which the kernel can \
do as well.",
        bad: Example::Rules("- id: lab\n  action: block\n  condition: network.ip.startsWith(\"10.1\")\n"),
        good: Example::Rules("- id: lab\n  action: block\n  condition: inCidr(network.ip, \"10.1.0.0/16\")\n"),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for test in subject.tests() {
        let textual = [Op::Prefix, Op::Suffix, Op::Contains, Op::Matches];
        let Some(atom) = test.atom.as_ref().filter(|it| it.field == Field::NetworkIp && textual.contains(&it.op))
        else {
            continue;
        };
        for (text, span) in atom.texts() {
            let network = network(text).filter(|_| atom.op == Op::Prefix);
            let finding = match (&network, other(text).filter(|_| atom.op == Op::Prefix)) {
                (None, Some(other)) => {
                    let message = format!("as text this also fits {}", quoted(&other));
                    subject.anywhere(LINT.row.code, span, message)
                }
                _ => subject.anywhere(LINT.row.code, span, "a network is tested as text".to_owned()),
            };
            findings.push(match network {
                Some(network) => {
                    let call = format!("inCidr(network.ip, \"{network}\")");
                    subject.with_expression(finding.help(format!("write `{call}`")), &test.expr.span, &call)
                }
                None => finding.help("write `inCidr(network.ip, \"10.0.0.0/8\")`"),
            });
        }
    }
}

/// The octets of a text that is the beginning of an address, each whole.
fn octets(text: &str) -> Option<Vec<u8>> {
    let octets: Option<Vec<u8>> =
        text.split('.').map(|octet| octet.parse::<u8>().ok().filter(|parsed| parsed.to_string() == octet)).collect();
    octets.filter(|octets| (1..=3).contains(&octets.len()))
}

/// The network that a beginning of whole octets stands for.
fn network(text: &str) -> Option<String> {
    let octets = octets(text.strip_suffix('.')?)?;
    let shown: Vec<String> = (0..4).map(|at| octets.get(at).copied().unwrap_or(0).to_string()).collect();
    Some(format!("{}/{}", shown.join("."), octets.len() * 8))
}

/// Another address with this beginning, in which the last octet goes on.
fn other(text: &str) -> Option<String> {
    let parsed = octets(text)?;
    let longer = ["9", "0"]
        .into_iter()
        .find_map(|digit| octets(&format!("{text}{digit}")).filter(|octets| octets.len() == parsed.len()))?;
    let rest = [0, 0, 1];
    let shown = longer.iter().chain(rest.iter().skip(longer.len() - 1)).map(u8::to_string);
    Some(shown.collect::<Vec<_>>().join("."))
}
