//! Is an address compared with something that is none?

use std::net::IpAddr;

use super::condition::Op;
use super::{Check, Context, Family, LintRow, Subject};
use crate::cel::network;
use crate::cel::typed::{CompareOp, ExprKind};
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};
use outcall_schema::artifact::expr::canonical_address;
use outcall_schema::field::Field;

pub(super) const LINT: LintRow = LintRow {
    name: "address-never-canonical",
    family: Family::Never,
    row: CodeRow {
        code: "OC0223",
        severity: Severity::Warning,
        title: "an address that is never written so",
        explain: "`network.ip` is one address in its canonical text form. A network, a wildcard, a name or another spelling of \
an address is never equal to it. Networks are tested with `inCidr`.",
        bad: Example::Rules(
            "- id: office\n  action: allow\n  condition: network.ip == \"203.0.113.0/24\" && network.port == 443\n  egress: { mode: direct_ip }\n",
        ),
        good: Example::Rules(
            "- id: office\n  action: allow\n  condition: inCidr(network.ip, \"203.0.113.0/24\") && network.port == 443\n  egress: { mode: direct_ip }\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for test in subject.tests() {
        let Some(atom) = test.atom.as_ref().filter(|it| it.field == Field::NetworkIp && it.op == Op::Equals) else {
            continue;
        };
        for (text, span) in atom.texts() {
            // The empty text stands for an address that is not known.
            if text.is_empty() || canonical_address(text).is_some() {
                continue;
            }
            let message = format!("{} is never an address in its canonical form", quoted(text));
            let finding = subject.anywhere(LINT.row.code, span, message);
            let single = match &test.expr.kind {
                ExprKind::Compare(CompareOp::Eq, ..) => Some(""),
                ExprKind::Compare(CompareOp::Ne, ..) => Some("!"),
                _ => None,
            };
            let call = format!("inCidr(network.ip, \"{text}\")");
            findings.push(match (text.parse::<IpAddr>(), network(text)) {
                (Ok(address), _) => {
                    let address = address.to_string();
                    subject.with_literal(finding.help(format!("write `{address}`")), span, &address)
                }
                (Err(_), true) => {
                    let finding = finding.help(format!("write `{call}`"));
                    match single {
                        Some(not) => subject.with_expression(finding, &test.expr.span, &format!("{not}{call}")),
                        None => finding,
                    }
                }
                (Err(_), false) => {
                    finding.help("write one address, or test a network as `inCidr(network.ip, \"10.0.0.0/8\")`")
                }
            });
        }
    }
}
