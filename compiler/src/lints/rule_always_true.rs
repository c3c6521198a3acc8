//! Is there a rule that every request meets?

use super::{Check, Context, Family, LintRow};
use crate::analyse::Fate;
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};

pub(super) const LINT: LintRow = LintRow {
    name: "rule-always-true",
    family: Family::Never,
    row: CodeRow {
        code: "OC0211",
        severity: Severity::Warning,
        title: "a condition that is always true",
        explain: "The condition is true of every request that the rule is asked about. An allow rule like that opens everything it is asked for, and nothing after it is ever looked at; a block rule like that repeats the default, or hides every rule after it.",
        bad: Example::Rules(
            "- id: all\n  action: allow\n  condition: http.host.startsWith(\"a\") || !http.host.startsWith(\"a\")\n",
        ),
        good: Example::Rules(
            "- id: ci\n  action: allow\n  condition: http.host == \"docs.example.com\" && agent.name == \"ci\"\n",
        ),
    },
    check: Check::Exact(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let exact = context.exact();
    for number in &exact.reach.always {
        let Some(rule) = context.policy.rules.get(*number) else { continue };
        if exact.reach.fates.get(*number) == Some(&Fate::Unknown) {
            continue;
        }
        let message = format!("the condition of {} is true of every request", quoted(&rule.id));
        let help = "say which requests are meant; what no rule allows is refused anyway";
        findings.push(Finding::at(LINT.row.code, rule.condition_span.clone(), message).help(help));
    }
}
