//! Is there a rule that never decides, because others do?

use super::{Check, Context, Family, LintRow};
use crate::analyse::Fate;
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};

pub(super) const LINT: LintRow = LintRow {
    name: "rule-unreachable",
    family: Family::Never,
    row: CodeRow {
        code: "OC0212",
        severity: Severity::Warning,
        title: "a rule behind others that decide all it matches",
        explain: "Rules are asked in order, and the first allow or block rule that is true decides. Wherever this rule is true, rules before it have decided, so that it never does. This is proven over all requests at once: several rules that together cover one are found as well.",
        bad: Example::Rules(
            "- id: no-examples\n  action: block\n  condition: http.host.endsWith(\".example.com\")\n- id: docs\n  action: allow\n  condition: http.host == \"docs.example.com\"\n",
        ),
        good: Example::Rules(
            "- id: docs\n  action: allow\n  condition: http.host == \"docs.example.com\"\n- id: no-examples\n  action: block\n  condition: http.host.endsWith(\".example.com\")\n",
        ),
    },
    check: Check::Exact(check),
};

/// How many rules are named.
const NAMED: usize = 3;

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let exact = context.exact();
    let rules = &context.policy.rules;
    for (number, (rule, fate)) in rules.iter().zip(&exact.reach.fates).enumerate() {
        let Fate::Behind(before) = fate else { continue };
        if super::rule_duplicate::of(context, number).is_some() {
            continue;
        }
        let named: Vec<String> = before
            .iter()
            .take(NAMED)
            .filter_map(|number| rules.get(*number))
            .map(|rule| format!("{} ({}:{})", quoted(&rule.id), rule.span.file.name, rule.span.line()))
            .collect();
        let more = before.len().saturating_sub(NAMED);
        let by = match (named.is_empty(), more) {
            (true, _) => "rules before it decide".to_owned(),
            (false, 0) => format!("{} decide{}", named.join(" and "), if named.len() == 1 { "s" } else { "" }),
            (false, more) => format!("{} and {more} more decide", named.join(", ")),
        };
        let message = format!("the rule {} is never reached: {by} wherever it is true", quoted(&rule.id));
        let help = "remove it, or put it first with a lower `priority`";
        findings.push(Finding::at(LINT.row.code, rule.span.clone(), message).help(help));
    }
}
