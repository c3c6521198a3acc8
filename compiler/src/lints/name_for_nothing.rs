//! Does a name resolve to which nothing is let through?

use super::{Check, Context, Family, LintRow};
use crate::analyse::Example as Shown;
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};

pub(super) const LINT: LintRow = LintRow {
    name: "name-for-nothing",
    family: Family::Layer,
    row: CodeRow {
        code: "OC0246",
        severity: Severity::Warning,
        title: "a name that resolves and that nothing lets through",
        explain: "The rule lets names resolve to which no rule then lets a connection or a request through. Names follow from the rules on `http.host` by themselves; one that is allowed beside them serves no client, and each query for it leaves the host with whatever the agent wrote into it.",
        bad: Example::Rules(
            "- id: names\n  action: allow\n  condition: dns.query.endsWith(\".example.com\")\n- id: docs\n  action: allow\n  condition: http.host == \"docs.example.com\"\n",
        ),
        good: Example::Rules(
            "- id: names\n  action: allow\n  condition: dns.query == \"docs.example.com\"\n- id: docs\n  action: allow\n  condition: http.host == \"docs.example.com\"\n",
        ),
    },
    check: Check::Exact(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for (number, example) in &context.exact().names_for_nothing {
        let Some(rule) = context.policy.rules.get(*number) else { continue };
        let message =
            format!("{} lets {} resolve, to which nothing is let through", quoted(&rule.id), quoted(&name(example)));
        let help = "drop the rule, names follow from what rules allow; or narrow it to the names that are meant";
        findings.push(Finding::at(LINT.row.code, rule.condition_span.clone(), message).help(help));
    }
}

fn name(example: &Shown) -> String {
    let name = example.get(outcall_schema::field::Field::DnsQuery).and_then(|name| name.as_str());
    name.unwrap_or_default().to_owned()
}
