//! Is a request allowed for its address alone?

use super::condition::HOST_FIELDS;
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity};
use outcall_schema::egress::EgressMode;
use outcall_schema::field::Field;

pub(super) const LINT: LintRow = LintRow {
    name: "address-without-name",
    family: Family::Layer,
    row: CodeRow {
        code: "OC0239",
        severity: Severity::Warning,
        title: "an address that any name may lead to",
        explain: "A request goes to a name, and which address that is stands in the DNS of whoever owns the name. A rule that \
tests the address and not the name is for every name, and so every name has to be resolved first, which \
tells its name server what the agent chose to put into it. Test the host as well, or use `mode: direct_ip` \
for connections to a bare address.",
        bad: Example::Rules(
            "- id: cache\n  action: allow\n  condition: inCidr(network.ip, \"203.0.113.0/24\") && network.port == 443\n",
        ),
        good: Example::Rules(
            "- id: cache\n  action: allow\n  condition: inCidr(network.ip, \"203.0.113.0/24\") && network.port == 443\n  egress: { mode: direct_ip }\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    if !matches!(subject.mode(), Some(EgressMode::Proxy | EgressMode::Intercept)) {
        return;
    }
    subject.positive(&mut |test, around| {
        let over = around.over.tls || around.over.plain || around.over.tunnel;
        if !test.fields.has(Field::NetworkIp) || !over || around.pins.and(test.fields).meets(&HOST_FIELDS) {
            return;
        }
        let message = "any name may lead to this address, so every name is resolved".to_owned();
        let help = "test `http.host` too, or write `mode: direct_ip` for connections that go to the address itself";
        findings.push(subject.here(LINT.row.code, &test.expr.span, message).help(help));
    });
}
