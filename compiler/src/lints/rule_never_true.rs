//! Is there a rule that no request meets?

use super::{Check, Context, Family, LintRow};
use crate::analyse::Fate;
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};

pub(super) const LINT: LintRow = LintRow {
    name: "rule-never-true",
    family: Family::Never,
    row: CodeRow {
        code: "OC0210",
        severity: Severity::Warning,
        title: "a condition that is never true",
        explain: "No request makes the condition true: two of its tests exclude each other, or none of the values that a field can have passes. The rule does nothing. This is proven, not guessed.",
        bad: Example::Rules(
            "- id: docs\n  action: allow\n  condition: http.host == \"docs.example.com\" && http.host == \"wiki.example.com\"\n",
        ),
        good: Example::Rules(
            "- id: docs\n  action: allow\n  condition: http.host == \"docs.example.com\" || http.host == \"wiki.example.com\"\n",
        ),
    },
    check: Check::Exact(check),
};

/// Lints that say why a rule is never true; saying so again would be noise.
const SAID: std::ops::RangeInclusive<&str> = "OC0217"..="OC0229";
const SAID_OF_LAYERS: [&str; 2] = ["OC0241", "OC0242"];

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let exact = context.exact();
    for (rule, fate) in context.policy.rules.iter().zip(&exact.reach.fates) {
        if *fate != Fate::Never {
            continue;
        }
        let whole = rule.written.rule.as_ref().unwrap_or(&rule.span);
        let said = findings.iter().any(|finding| {
            let inside = finding.span.as_ref().is_some_and(|span| {
                std::sync::Arc::ptr_eq(&span.file, &whole.file) && (whole.start..=whole.end).contains(&span.start)
            });
            inside && (SAID.contains(&finding.code) || SAID_OF_LAYERS.contains(&finding.code))
        });
        if !said {
            let message = format!("the condition of {} is never true", quoted(&rule.id));
            let help = "no request has such values; `outcall query` tells whether a part of it can be true";
            findings.push(Finding::at(LINT.row.code, rule.condition_span.clone(), message).help(help));
        }
    }
}
