//! Is a host both to be intercepted and bypassed?

use super::{Check, Context, Family, LintRow};
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};
use crate::resolve::HostList;

pub(super) const LINT: LintRow = LintRow {
    name: "interception-host-bypassed",
    family: Family::Layer,
    row: CodeRow {
        code: "OC0237",
        severity: Severity::Warning,
        title: "a host to intercept that is also bypassed",
        explain: "`interception.bypass` wins over `interception.hosts`, so an entry of `hosts` that lies wholly in `bypass` \
has no effect.",
        bad: Example::File(
            "version: \"1\"\ninterception:\n  hosts: [\"api.example.com\"]\n  bypass: [\"*.example.com\"]\n",
        ),
        good: Example::File(
            "version: \"1\"\ninterception:\n  hosts: [\"api.example.com\"]\n  bypass: [\"*.example.org\"]\n",
        ),
    },
    check: Check::Policy(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    for entry in context.policy.listed_hosts.iter().filter(|entry| entry.list == HostList::Hosts) {
        if context.inside.bypass.covers(&entry.pattern) {
            let message = format!("`bypass` takes {} back, so it is never intercepted", quoted(&entry.pattern));
            let finding = Finding::at(LINT.row.code, entry.span.clone(), message);
            findings.push(finding.help("remove it here, or narrow `bypass` down"));
        }
    }
}
