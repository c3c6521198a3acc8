//! Does a dot in a regular expression on a host stand for any character?

use super::condition::Op;
use super::suffixes::registered;
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity};

pub(super) const LINT: LintRow = LintRow {
    name: "host-pattern-dot",
    family: Family::TooWide,
    row: CodeRow {
        code: "OC0263",
        severity: Severity::Warning,
        title: "a dot that stands for any character",
        explain: "In a regular expression a dot is any character, so `^api.example.com$` also fits `apixexample.com`, a name \
that anybody can register. Write `\\.`, in a literal as `r\"...\"` so that the backslash stays one.",
        bad: Example::Rules("- id: api\n  action: allow\n  condition: http.host.matches(\"^api.example.com$\")\n"),
        good: Example::Rules(
            "- id: api\n  action: allow\n  condition: http.host.matches(r\"^api\\.example\\.com$\")\n",
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
            // What fits everything is told by others.
            if !pattern.contains('.') || context.patterns.accepts_all(pattern, b' '..=b'~') {
                continue;
            }
            let accepted = |host: &str| context.patterns.accepts(pattern, host) == Some(true);
            let foreign = context.patterns.hosts(pattern).iter().find_map(|host| {
                let owner = registered(host)?;
                let dots = host.match_indices('.').filter_map(|(at, _)| Some((host.get(..at)?, host.get(at + 1..)?)));
                dots.map(|(before, behind)| format!("{before}x{behind}")).find(|other| {
                    let another = registered(other).is_some_and(|other| other != owner);
                    // Where anything may stand at either end, it is not the dot.
                    another
                        && accepted(other)
                        && !accepted(&format!("evil{host}"))
                        && !accepted(&format!("{host}.attacker.example"))
                })
            });
            if let Some(foreign) = foreign {
                let message = format!("a dot fits any character, so this also fits `{foreign}`");
                let help = "write each dot of the host as `\\.`, in a literal like `r\"^api\\.example\\.com$\"`";
                findings.push(subject.anywhere(LINT.row.code, span, message).help(help));
            }
        }
    });
}
