//! Is there an allowed host whose name is refused?

use super::{Check, Context, Family, LintRow};
use crate::analyse::Fate;
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};

pub(super) const LINT: LintRow = LintRow {
    name: "name-refused",
    family: Family::Layer,
    row: CodeRow {
        code: "OC0247",
        severity: Severity::Warning,
        title: "a rule for hosts whose names do not resolve",
        explain: "The rule lets requests through to hosts whose names a block rule on `dns.query` refuses. The proxy resolves names by the same rules, so that no such request ever gets anywhere.",
        bad: Example::Rules(
            "- id: no-docs\n  action: block\n  condition: dns.query.endsWith(\"docs.example.com\")\n- id: docs\n  action: allow\n  condition: http.host == \"docs.example.com\"\n",
        ),
        good: Example::Rules(
            "- id: no-docs\n  action: block\n  condition: dns.query.endsWith(\"secret.example.com\")\n- id: docs\n  action: allow\n  condition: http.host == \"docs.example.com\"\n",
        ),
    },
    check: Check::Exact(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let exact = context.exact();
    let rules = &context.policy.rules;
    for (number, refusing) in &exact.refused_names {
        let Some(rule) = rules.get(*number) else { continue };
        if exact.reach.fates.get(*number) != Some(&Fate::Reached) {
            continue;
        }
        let named: Vec<String> = refusing
            .iter()
            .filter_map(|number| rules.get(*number))
            .map(|rule| format!("{} ({}:{})", quoted(&rule.id), rule.span.file.name, rule.span.line()))
            .collect();
        let message =
            format!("no name that {} is about resolves: {} refuses them", quoted(&rule.id), named.join(" and "));
        let help = "narrow the block rule on `dns.query`, or give it a higher `priority`";
        findings.push(Finding::at(LINT.row.code, rule.condition_span.clone(), message).help(help));
    }
}
