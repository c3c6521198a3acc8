//! Is there a rule whose condition an earlier rule has?

use super::{Check, Context, Family, LintRow};
use crate::analyse::Fate;
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};

pub(super) const LINT: LintRow = LintRow {
    name: "rule-duplicate",
    family: Family::Never,
    row: CodeRow {
        code: "OC0213",
        severity: Severity::Warning,
        title: "a rule that repeats another",
        explain: "An earlier rule has the same condition and decides. Where both say the same, one is enough; where they say different things, only the first counts.",
        bad: Example::Rules(
            "- id: docs\n  action: allow\n  condition: http.host == \"docs.example.com\"\n- id: manuals\n  action: allow\n  condition: http.host in [\"docs.example.com\"]\n",
        ),
        good: Example::Rules(
            "- id: docs\n  action: allow\n  condition: http.host == \"docs.example.com\"\n- id: manuals\n  action: allow\n  condition: http.host in [\"manuals.example.com\"]\n",
        ),
    },
    check: Check::Exact(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for (number, rule) in context.policy.rules.iter().enumerate() {
        let Some(first) = of(context, number).and_then(|first| context.policy.rules.get(first)) else { continue };
        let place = format!("{}:{}", first.span.file.name, first.span.line());
        let same = first.action == rule.action && first.egress == rule.egress;
        let (message, help) = if same {
            (format!("the rule {} repeats {} ({place})", quoted(&rule.id), quoted(&first.id)), "remove one of them")
        } else {
            (
                format!(
                    "the rule {} has the condition of {} ({place}), which decides",
                    quoted(&rule.id),
                    quoted(&first.id)
                ),
                "remove it, or say how the two differ",
            )
        };
        findings.push(Finding::at(LINT.row.code, rule.span.clone(), message).help(help));
    }
}

/// The earlier rule that a rule never reached has its condition from.
pub(super) fn of(context: &Context<'_>, number: usize) -> Option<usize> {
    let exact = context.exact();
    if !matches!(exact.reach.fates.get(number), Some(Fate::Behind(_))) {
        return None;
    }
    exact.same_condition.get(&number).copied()
}
