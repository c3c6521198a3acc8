//! Are there egress settings where nothing goes out?

use super::condition::Layers;
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity};
use outcall_schema::layer::Layer;

pub(super) const LINT: LintRow = LintRow {
    name: "egress-without-traffic",
    family: Family::Layer,
    row: CodeRow {
        code: "OC0244",
        severity: Severity::Warning,
        title: "egress settings for what sends nothing",
        explain: "The rule is about containers or permissions, which no packet follows from, so `egress` has no effect there. \
What the container or the tool may reach is for rules on `http.host` or `network.ip`.",
        bad: Example::Rules(
            "- id: debian\n  action: allow\n  condition: docker.image == \"debian:12\"\n  egress: { ports: [443] }\n",
        ),
        good: Example::Rules("- id: debian\n  action: allow\n  condition: docker.image == \"debian:12\"\n"),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let still = Layers::of(&[Layer::Docker, Layer::Run]);
    let layers = subject.condition.layers.and(subject.asked());
    let written = &subject.rule.written;
    let settings = [&written.mode, &written.ports, &written.allow_private_ips];
    let Some(place) = settings.into_iter().flatten().next() else { return };
    if !layers.is_empty() && layers.and(still) == layers {
        let message = "this has no effect: the rule lets nothing out".to_owned();
        let help = "leave `egress` out; what may be reached is for rules on `http.host` or `network.ip`";
        findings.push(Finding::at(LINT.row.code, place.clone(), message).help(help));
    }
}
