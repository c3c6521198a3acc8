//! Is a public address allowed in place of a name?

use super::condition::Op;
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};
use outcall_schema::addr;
use outcall_schema::field::Field;
use std::net::IpAddr;

pub(super) const LINT: LintRow = LintRow {
    name: "bare-address",
    family: Family::TooWide,
    row: CodeRow {
        code: "OC0272",
        severity: Severity::Warning,
        title: "a public address in place of a name",
        explain: "A public address belongs to whoever holds it today: addresses of clouds go from one customer to the next. A \
request to a bare address has no name that the certificate could be checked for either, except where it \
names the address. Write the name.",
        bad: Example::Rules("- id: api\n  action: allow\n  condition: http.host == \"203.0.115.7\"\n"),
        good: Example::Rules("- id: api\n  action: allow\n  condition: http.host == \"api.example.com\"\n"),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    subject.widening(&mut |test, _| {
        let hosts = [Field::HttpHost, Field::NetworkHostname, Field::TlsSni];
        let Some(atom) = test.atom.as_ref().filter(|it| hosts.contains(&it.field) && it.op == Op::Equals) else {
            return;
        };
        for (text, span) in atom.texts().filter(|_| test.positive) {
            if text.parse::<IpAddr>().is_ok_and(|address| addr::special(address).is_none()) {
                let message = format!("{} belongs to whoever holds it today", quoted(text));
                let help = "write the name of the host; for direct traffic test `network.ip` with `mode: direct_ip`";
                findings.push(subject.anywhere(LINT.row.code, span, message).help(help));
            }
        }
    });
}
