//! Does a query pass a test that is meant for the path?

use super::condition::Op;
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};
use outcall_schema::field::Field;

pub(super) const LINT: LintRow = LintRow {
    name: "path-test-in-query",
    family: Family::TooWide,
    row: CodeRow {
        code: "OC0276",
        severity: Severity::Warning,
        title: "a test of a path that a query passes",
        explain: "`http.path` is path and query, and the program in the sandbox writes both. `contains(\"/public/\")`, \
`endsWith(\".json\")` and a regular expression without `^` are true as well where the text stands behind a \
`?`, whatever the path is. Test the beginning of the path.",
        bad: Example::Rules(
            "- id: public\n  action: allow\n  condition: http.host == \"www.example.com\" && http.path.contains(\"/public/\")\n  egress: { mode: intercept }\n",
        ),
        good: Example::Rules(
            "- id: public\n  action: allow\n  condition: http.host == \"www.example.com\" && http.path.startsWith(\"/public/\")\n  egress: { mode: intercept }\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(context: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    subject.widening(&mut |test, around| {
        let Some(atom) = test.atom.as_ref().filter(|atom| atom.field == Field::HttpPath) else { return };
        // Beside a test of its beginning it narrows that down, as far as it goes.
        if around.pins.has(Field::HttpPath) {
            return;
        }
        for (text, span) in atom.texts() {
            let example = match atom.op {
                Op::Suffix | Op::Contains if !text.is_empty() && !text.contains('?') => Some(format!("/other?{text}")),
                Op::Matches if !context.patterns.accepts_all(text, b' '..=b'~') => {
                    let queried = |path: &String| format!("/other?{path}");
                    let accepted = |path: &String| context.patterns.accepts(text, path) == Some(true);
                    context.patterns.paths(text).iter().map(queried).find(accepted)
                }
                _ => None,
            };
            if let Some(example) = example {
                let message = format!("{} passes this test, too", quoted(&example));
                let help = "test the beginning: `http.path.startsWith(\"/public/\")`, or a pattern that begins with `^` and leaves out `?`";
                findings.push(subject.anywhere(LINT.row.code, span, message).help(help));
            }
        }
    });
}
