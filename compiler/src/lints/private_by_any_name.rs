//! Can a name that is not fixed lead to private addresses?

use super::condition::Part;
use super::hosts::Hosts;
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};
use outcall_schema::field::Field;

pub(super) const LINT: LintRow = LintRow {
    name: "private-by-any-name",
    family: Family::TooWide,
    row: CodeRow {
        code: "OC0269",
        severity: Severity::Warning,
        title: "private addresses behind names that are not fixed",
        explain: "`allow_private_ips: true` lets a name lead to addresses inside your network. Whoever owns a name decides \
where it leads, so with a wildcard, or no host at all, a name can be pointed at any internal service. Name \
each host, or test `network.ip` as well.",
        bad: Example::Rules(
            "- id: corp\n  action: allow\n  condition: hostMatches(http.host, \"**.corp.example\")\n  egress: { allow_private_ips: true }\n",
        ),
        good: Example::Rules(
            "- id: corp\n  action: allow\n  condition: hostMatches(http.host, \"**.corp.example\") && inCidr(network.ip, \"10.20.0.0/16\")\n  egress: { allow_private_ips: true }\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let private = subject.rule.egress.as_ref().is_some_and(|egress| egress.allow_private_ips);
    if !private {
        return;
    }
    for part in subject.alternatives().iter().filter(|part| !part.pins.has(Field::NetworkIp)) {
        let loose = match &part.hosts {
            Hosts::Any => traffic(part).then(|| "every host".to_owned()),
            Hosts::Of(tests) => tests.iter().find(|test| test.exact().is_none()).map(|test| quoted(&test.shown())),
        };
        if let Some(loose) = loose {
            let message = format!("a name that fits {loose} can lead to any private address");
            let help = "name each host, or test `inCidr(network.ip, ...)` as well";
            findings.push(subject.here(LINT.row.code, &part.span, message).help(help));
            return;
        }
    }
}

/// Whether it can be true of requests or packets at all.
fn traffic(part: &Part<'_>) -> bool {
    part.over.tls || part.over.plain || part.over.tunnel
}
