//! Does a regular expression on a host fit hosts of somebody else?

use super::condition::Op;
use super::suffixes::registered;
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity};

pub(super) const LINT: LintRow = LintRow {
    name: "host-pattern-open",
    family: Family::TooWide,
    row: CodeRow {
        code: "OC0262",
        severity: Severity::Warning,
        title: "a regular expression that fits foreign hosts",
        explain: "A regular expression is found anywhere in a host unless `^` and `$` tie it to both ends, and a name belongs \
to whoever registered its end. Compare the host with `==`, or its end with `hostMatches`; where a regular \
expression is needed, begin it with `^` or `(^|\\.)` and end it with `$`.",
        bad: Example::Rules("- id: docs\n  action: allow\n  condition: http.host.matches(r\"docs\\.example\\.com\")\n"),
        good: Example::Rules(
            "- id: docs\n  action: allow\n  condition: http.host.matches(r\"^(docs|wiki)\\.example\\.com$\")\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(context: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    subject.widening(&mut |test, around| {
        let Some(atom) = test.atom.as_ref().filter(|atom| atom.op == Op::Matches && atom.is_host()) else { return };
        if around.hosts.tests().iter().any(|other| other.exact().is_some() || other.under().is_some()) {
            return;
        }
        for (pattern, span) in atom.texts() {
            if context.patterns.accepts_all(pattern, b' '..=b'~') {
                continue;
            }
            let accepted = |host: &String| context.patterns.accepts(pattern, host) == Some(true);
            let foreign = context.patterns.hosts(pattern).iter().find_map(|host| {
                let owner = registered(host);
                let glued = format!("evil{host}");
                let behind = format!("{host}.attacker.example");
                [behind, glued]
                    .into_iter()
                    .find(|other| accepted(other) && registered(other).is_some() && registered(other) != owner)
            });
            if let Some(foreign) = foreign {
                let message = format!("this pattern also fits `{foreign}`");
                let help = "tie it to both ends, as `^docs\\.example\\.com$`, or compare with `==` or `hostMatches`";
                findings.push(subject.anywhere(LINT.row.code, span, message).help(help));
            }
        }
    });
}
