//! Is something to be set in a tunnel, where nothing can be?

use super::block_behind_tunnel::Tunnels;
use super::hosts::Hosts;
use super::{Check, Context, Family, LintRow};
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};
use outcall_schema::decision::Action;

pub(super) const LINT: LintRow = LintRow {
    name: "enrich-behind-tunnel",
    family: Family::Layer,
    row: CodeRow {
        code: "OC0248",
        severity: Severity::Warning,
        title: "an enrich rule for a host that is reached through tunnels",
        explain: "Headers are set where TLS is looked into, and another rule allows TLS tunnels to this host. Where the enrich \
rule is true of such a tunnel the tunnel is refused, and where it is not, because it tests a method or a path, requests pass in it \
without what they were to get. Give the rule that allows it `mode: intercept`.",
        bad: Example::Rules(
            "- id: api\n  action: allow\n  condition: http.host == \"api.example.com\"\n- id: key\n  action: enrich\n  condition: http.host == \"api.example.com\"\n  inject:\n    - { header: Authorization, value: \"Bearer ${secret:api}\" }\n",
        ),
        good: Example::Rules(
            "- id: api\n  action: allow\n  condition: http.host == \"api.example.com\"\n  egress: { mode: intercept }\n- id: key\n  action: enrich\n  condition: http.host == \"api.example.com\"\n  inject:\n    - { header: Authorization, value: \"Bearer ${secret:api}\" }\n",
        ),
    },
    check: Check::Policy(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let tunnels = Tunnels::of(context);
    for subject in context.subjects.iter().filter(|subject| subject.is(Action::Enrich)) {
        let (over, hosts) = (subject.condition.over, &subject.condition.hosts);
        // A rule for every host may well be meant for those that are looked into.
        if !over.tls && !over.tunnel || matches!(hosts, Hosts::Any) {
            continue;
        }
        let Some(allow) = tunnels.past(hosts).and_then(|allow| context.subjects.get(allow)) else { continue };
        let what = if over.tunnel { "which is refused because of this rule" } else { "in which nothing is set" };
        let message = format!("the rule {} allows a TLS tunnel to this host, {what}", quoted(&allow.rule.id));
        let help = "give that rule `mode: intercept`";
        findings.push(subject.here(LINT.row.code, &subject.condition.span, message).help(help));
    }
}
