//! Is a rule for the kernel made of what the kernel does not see?

use super::condition::{Layers, REQUEST_FIELDS};
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity};
use outcall_schema::egress::EgressMode;
use outcall_schema::field::Field;
use outcall_schema::layer::Layer;

pub(super) const LINT: LintRow = LintRow {
    name: "direct-ip-without-address",
    family: Family::Layer,
    row: CodeRow {
        code: "OC0234",
        severity: Severity::Warning,
        title: "a direct rule that the kernel cannot apply",
        explain: "With `mode: direct_ip` packets go out without the proxy, so the kernel decides, and it knows addresses, \
ports and protocols. Names it knows by the queries that the DNS filter answered: test `dns.query`, and the \
addresses of the name are opened. A rule on `http.host` or another part of a request opens nothing.",
        bad: Example::Rules(
            "- id: ssh\n  action: allow\n  condition: http.host == \"git.example.com\"\n  egress: { mode: direct_ip, ports: [22] }\n",
        ),
        good: Example::Rules(
            "- id: ssh\n  action: allow\n  condition: dns.query == \"git.example.com\"\n  egress: { mode: direct_ip, ports: [22] }\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let kernel = Layers::of(&[Layer::Network, Layer::Dns]);
    if subject.mode() != Some(EgressMode::DirectIp) || !subject.condition.layers.and(kernel).is_empty() {
        return;
    }
    let unseen = |field: &Field| {
        REQUEST_FIELDS.contains(field)
            || matches!(
                field,
                Field::HttpHost | Field::NetworkHostname | Field::TlsSni | Field::TlsAlpn | Field::HttpScheme
            )
    };
    let tests = subject.tests();
    let found = tests.iter().find_map(|test| Some((test, test.fields.iter().find(|field| unseen(field))?)));
    let Some((test, field)) = found else { return };
    let message = format!("the kernel does not know `{}`, so `mode: direct_ip` opens nothing", field.name());
    let help = "test `dns.query` to open the addresses of a name, or `network.ip`; requests go through `mode: proxy`";
    findings.push(subject.here(LINT.row.code, &test.expr.span, message).help(help));
}
