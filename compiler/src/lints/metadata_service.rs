//! Is the metadata service of a cloud reachable?

use super::condition::Op;
use crate::cel::holds;
use outcall_schema::field::Field;
use std::net::IpAddr;

/// Addresses and names of metadata services.
const SERVICES: &[&str] = &[
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "100.100.100.200",
    "192.0.0.192",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "metadata.google.internal",
    "metadata.azure.internal",
];
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity};

pub(super) const LINT: LintRow = LintRow {
    name: "metadata-service",
    family: Family::TooWide,
    row: CodeRow {
        code: "OC0270",
        severity: Severity::Warning,
        title: "the metadata service of a cloud",
        explain: "At these addresses clouds hand out the credentials of the machine to whoever asks. A program in the sandbox \
that reaches them has the machine's rights.",
        bad: Example::Rules(
            "- id: meta\n  action: allow\n  condition: http.host == \"169.254.169.254\"\n  egress: { allow_private_ips: true }\n",
        ),
        good: Example::Rules(
            "- id: meta\n  action: allow\n  condition: http.host == \"wiki.corp.example\"\n  egress: { allow_private_ips: true }\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    if !subject.rule.egress.as_ref().is_some_and(|egress| egress.allow_private_ips) {
        return;
    }
    subject.positive(&mut |test, around| {
        let Some(atom) = &test.atom else { return };
        let ours = atom.is_host() || atom.field == Field::NetworkIp;
        for (text, span) in atom.texts().filter(|_| ours) {
            let service = match atom.op {
                Op::Equals => SERVICES.iter().find(|service| **service == text),
                // A whole range of private addresses beside a host that is named is how one writes that it is private.
                Op::InCidr if around.hosts.is_any() => {
                    SERVICES.iter().find(|service| service.parse::<IpAddr>().is_ok_and(|address| holds(text, address)))
                }
                _ => None,
            };
            if let Some(service) = service {
                let message = format!("this reaches the metadata service at `{service}`, which hands out credentials");
                let help = "leave it out; a `block` rule with a low `priority` keeps it closed for all rules";
                findings.push(subject.here(LINT.row.code, span, message).help(help));
            }
        }
    });
}
