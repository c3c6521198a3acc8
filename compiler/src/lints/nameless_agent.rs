//! Is an agent without a name let through by a test of its name?

use super::{Check, Context, Family, LintRow};
use crate::analyse::Example as Shown;
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};

pub(super) const LINT: LintRow = LintRow {
    name: "nameless-agent",
    family: Family::Agent,
    row: CodeRow {
        code: "OC0280",
        severity: Severity::Warning,
        title: "a test of the agent's name that one without a name passes",
        explain: "`agent.name` is empty where the host could not tell who asks. A negative test, or one with `startsWith`, `endsWith` or `matches` that the empty name passes, opens the rule to whatever was not identified.",
        bad: Example::Rules(
            "- id: docs\n  action: allow\n  condition: http.host == \"docs.example.com\" && agent.name != \"guest\"\n",
        ),
        good: Example::Rules(
            "- id: docs\n  action: allow\n  condition: http.host == \"docs.example.com\" && agent.name != \"guest\" && agent.name != \"\"\n",
        ),
    },
    check: Check::Exact(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for (number, example) in &context.exact().nameless_agents {
        let Some(rule) = context.policy.rules.get(*number) else { continue };
        let message = format!("{} lets an agent without a name through: {}", quoted(&rule.id), shown(example));
        let help = "name the agents that are meant, or add `&& agent.name != \"\"`";
        findings.push(Finding::at(LINT.row.code, rule.condition_span.clone(), message).help(help));
    }
}

fn shown(example: &Shown) -> String {
    let text = example.human();
    text.strip_suffix(" by an agent without a name").unwrap_or(&text).to_owned()
}
