//! Is there a priority that changes nothing?

use outcall_schema::decision::Action;

use super::{Check, Context, Family, LintRow};
use crate::diag::{CodeRow, Example, Finding, Severity};
use crate::resolve::{DEFAULT_PRIORITY, Rule};

pub(super) const LINT: LintRow = LintRow {
    name: "priority-unused",
    family: Family::Style,
    row: CodeRow {
        code: "OC0294",
        severity: Severity::Note,
        title: "a priority that changes nothing",
        explain: "Rules are ordered by priority, then by file name, then by their place in the file. Without this priority, \
which would make it 100, the rule would stand in the same place. Leave it out, so that the priorities that \
are left are the ones that matter.",
        bad: Example::Rules(
            "- id: first\n  description: first\n  action: allow\n  priority: 100\n  condition: http.host == \"a.example.com\"\n",
        ),
        good: Example::Rules(
            "- id: first\n  description: first\n  action: allow\n  condition: http.host == \"a.example.com\"\n",
        ),
    },
    check: Check::Policy(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let rules = &context.policy.rules;
    for (at, rule) in rules.iter().enumerate() {
        // A block rule that is put first on purpose stays first when other files come.
        let guard = rule.action == Action::Block && rule.priority < DEFAULT_PRIORITY;
        let Some(place) = rule.written.priority.as_ref().filter(|_| !guard) else { continue };
        let before = at.checked_sub(1).and_then(|before| rules.get(before));
        let after = rules.get(at + 1);
        let stays = before
            .is_none_or(|before| (before.priority, standing(before)) < (DEFAULT_PRIORITY, standing(rule)))
            && after.is_none_or(|after| (DEFAULT_PRIORITY, standing(rule)) < (after.priority, standing(after)));
        if stays {
            let message = match rule.priority {
                DEFAULT_PRIORITY => "this is the priority of every rule that names none".to_owned(),
                priority => format!("without priority {priority} the rule would stand in the same place"),
            };
            findings.push(Finding::at(LINT.row.code, place.clone(), message).help("leave `priority` out"));
        }
    }
}

/// Where a rule stands among those of its priority: files by the last part of their names, then rules by their places.
fn standing(rule: &Rule) -> (&str, &str, usize) {
    let name = rule.span.file.name.as_str();
    (name.rsplit('/').next().unwrap_or(name), name, rule.span.start)
}
