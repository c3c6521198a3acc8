//! Is everything allowed but what is named?

use super::condition::{HOST_FIELDS, TARGETS};
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};
use outcall_schema::decision::Action;

pub(super) const LINT: LintRow = LintRow {
    name: "everything-but",
    family: Family::ThreeValued,
    row: CodeRow {
        code: "OC0252",
        severity: Severity::Warning,
        title: "an allow rule for everything but a few",
        explain: "A negative test allows all that it does not name: `http.host != \"a.example.com\"` allows every other host \
there is, and every name that somebody registers tomorrow. Where the host is not known the test is unknown \
and says nothing. Name what is allowed, and put a block rule with a lower priority number before it for the \
exceptions.",
        bad: Example::Rules(
            "- id: most\n  action: allow\n  condition: http.host != \"internal.example.com\" && network.port == 443\n",
        ),
        good: Example::Rules(
            "- id: not-internal\n  action: block\n  priority: 50\n  condition: http.host == \"internal.example.com\"\n- id: most\n  action: allow\n  condition: hostMatches(http.host, \"*.example.com\")\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    if !subject.grants() {
        return;
    }
    let mut found = None;
    subject.condition.tests(&mut |test, around| {
        let negative = !test.positive && test.fields.meets(&HOST_FIELDS);
        if found.is_none() && negative && !around.pins.meets(&TARGETS) {
            found = Some(test);
        }
    });
    let Some(test) = found.filter(|_| !subject.condition.targets()) else { return };
    let first = test.atom.as_ref().and_then(|atom| atom.texts().next());
    let named = first.map_or_else(|| "what is named here".to_owned(), |(text, _)| quoted(text));
    let what = if subject.is(Action::Allow) { "allows" } else { "adds its headers to requests for" };
    let message = format!("this {what} every host but {named}");
    let help = "name the hosts that are meant, and write the exceptions as a `block` rule with a lower `priority`";
    findings.push(subject.here(LINT.row.code, &test.expr.span, message).help(help));
}
