//! Is there a hold or enrich rule without a request to act on?

use super::{Check, Context, Family, LintRow};
use crate::analyse::Fate;
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};

pub(super) const LINT: LintRow = LintRow {
    name: "duty-without-allow",
    family: Family::Never,
    row: CodeRow {
        code: "OC0214",
        severity: Severity::Warning,
        title: "a hold or enrich rule for requests that are refused",
        explain: "Hold and enrich rules only take effect on requests that an allow rule lets pass. Every request that this rule is true of is refused, so that nothing is ever held or added. Perhaps the allow rule is missing, or names another host.",
        bad: Example::Rules(
            "- id: api\n  action: allow\n  condition: http.host == \"api.example.com\"\n- id: review\n  action: hold\n  condition: http.host == \"api.example.org\" && http.method == \"POST\"\n  hold: {}\n",
        ),
        good: Example::Rules(
            "- id: api\n  action: allow\n  condition: http.host == \"api.example.com\"\n- id: review\n  action: hold\n  condition: http.host == \"api.example.com\" && http.method == \"POST\"\n  hold: {}\n",
        ),
    },
    check: Check::Exact(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let exact = context.exact();
    for (rule, fate) in context.policy.rules.iter().zip(&exact.reach.fates) {
        if *fate == Fate::Refused {
            let message = format!("every request that {} is about is refused", quoted(&rule.id));
            let help = "no allow rule lets such a request pass; add one, or remove this rule";
            findings.push(Finding::at(LINT.row.code, rule.span.clone(), message).help(help));
        }
    }
}
