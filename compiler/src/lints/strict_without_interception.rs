//! Is a host strict about an interception that never happens?

use super::condition::Op;
use super::hosts::{HostTest, Hosts, PatternSet};
use super::{Check, Context, Family, LintRow};
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};
use crate::resolve::HostList;
use outcall_schema::egress::EgressMode;

pub(super) const LINT: LintRow = LintRow {
    name: "strict-without-interception",
    family: Family::Layer,
    row: CodeRow {
        code: "OC0238",
        severity: Severity::Warning,
        title: "a strict host that nothing intercepts",
        explain: "`interception.strict` says what happens when interception fails: deny instead of falling back to a tunnel. \
For a host that is neither listed under `hosts` nor named by a rule with `mode: intercept` there is no \
interception, so nothing fails and the entry does nothing.",
        bad: Example::File("version: \"1\"\ninterception:\n  strict: [\"api.example.com\"]\n"),
        good: Example::File(
            "version: \"1\"\ninterception:\n  hosts: [\"api.example.com\"]\n  strict: [\"api.example.com\"]\n",
        ),
    },
    check: Check::Policy(check),
};

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let strict = || context.policy.listed_hosts.iter().filter(|entry| entry.list == HostList::Strict);
    if strict().next().is_none() {
        return;
    }
    let mut named = PatternSet::default();
    for subject in context.subjects.iter().filter(|it| it.mode() == Some(EgressMode::Intercept)) {
        let Hosts::Of(tests) = &subject.condition.hosts else { return };
        for test in tests.iter() {
            match (test.exact(), test.under()) {
                (Some(host), _) => named.insert(host),
                (None, Some(base)) => named.insert(&format!("**.{base}")),
                (None, None) => return,
            }
        }
    }
    for entry in strict() {
        let test = HostTest { op: Op::HostMatches, text: &entry.pattern, span: 0..0 };
        if !context.inside.hosts.meets(&test) && !named.meets(&test) {
            let message = format!("nothing intercepts {}, so it cannot fail", quoted(&entry.pattern));
            let help = "list it under `hosts` too, or give its rule `mode: intercept`";
            findings.push(Finding::at(LINT.row.code, entry.span.clone(), message).help(help));
        }
    }
}
