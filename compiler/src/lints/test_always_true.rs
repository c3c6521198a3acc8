//! Is there a test that says nothing?

use outcall_schema::field::Field;

use super::condition::Op;
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity};

pub(super) const LINT: LintRow = LintRow {
    name: "test-always-true",
    family: Family::Never,
    row: CodeRow {
        code: "OC0229",
        severity: Severity::Warning,
        title: "a test that every text passes",
        explain: "Every text begins with, ends with and contains the empty text, and a pattern such as `.*` is found in every \
text. The test says nothing; where something was to be left out, it does not leave it out.",
        bad: Example::Rules(
            "- id: docs\n  action: allow\n  condition: http.host == \"docs.example.com\" && http.path.matches(\".*\")\n  egress: { mode: intercept }\n",
        ),
        good: Example::Rules(
            "- id: docs\n  action: allow\n  condition: http.host == \"docs.example.com\"\n  egress: { mode: intercept }\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(context: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (atom, text, span) in subject.texts() {
        let always = match atom.op {
            Op::Prefix | Op::Suffix | Op::Contains => text.is_empty(),
            Op::Matches => {
                // Hosts, methods and paths are made of printable characters alone.
                let printable = atom.is_host() || matches!(atom.field, Field::HttpPath | Field::HttpMethod);
                context.patterns.accepts_all(text, if printable { b' '..=b'~' } else { 0..=255 })
            }
            Op::Equals | Op::HostMatches | Op::InCidr | Op::Order(_) | Op::Present => false,
        };
        if always {
            let message = format!("every text passes this test, whatever `{}` is", atom.field.name());
            let finding = subject.anywhere(LINT.row.code, span, message);
            findings.push(finding.help("remove it, or write what the text has to be"));
        }
    }
}
