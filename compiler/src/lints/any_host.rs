//! Is every host allowed?

use super::condition::{HOST_FIELDS, Layers};
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity};
use outcall_schema::decision::Action;
use outcall_schema::layer::Layer;

pub(super) const LINT: LintRow = LintRow {
    name: "any-host",
    family: Family::TooWide,
    row: CodeRow {
        code: "OC0267",
        severity: Severity::Warning,
        title: "an allow rule for every host",
        explain: "Nothing in the condition says where requests may go, so the rule allows every host there is: whatever a \
program in the sandbox has read, it can send to whoever it likes. Name the hosts or addresses that are \
meant.",
        bad: Example::Rules("- id: web\n  action: allow\n  condition: network.port == 443\n"),
        good: Example::Rules(
            "- id: web\n  action: allow\n  condition: http.host == \"www.example.com\" && network.port == 443\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let traffic = Layers::of(&[Layer::Dns, Layer::Network, Layer::Connect, Layer::Http, Layer::Https]);
    if !subject.grants() || subject.condition.targets() || subject.condition.layers.and(traffic).is_empty() {
        return;
    }
    // A negative test of the host has a lint of its own.
    if subject.tests().iter().any(|test| !test.positive && test.fields.meets(&HOST_FIELDS)) {
        return;
    }
    let open = subject.alternatives().iter().find(|part| !part.targets() && !part.layers.and(traffic).is_empty());
    let Some(open) = open else { return };
    let message = match subject.rule.action {
        Action::Enrich => "this adds its headers to requests for every host".to_owned(),
        _ => "this allows every host".to_owned(),
    };
    let help = "say where requests may go: `http.host == \"api.example.com\"`, or `network.ip` for direct traffic";
    findings.push(subject.here(LINT.row.code, &open.span, message).help(help));
}
