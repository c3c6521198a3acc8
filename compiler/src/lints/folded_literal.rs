//! Is a folded text compared with the other case?

use super::{Check, Context, Family, LintRow, Subject};
use crate::cel::typed::Function;
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};

pub(super) const LINT: LintRow = LintRow {
    name: "folded-literal",
    family: Family::Never,
    row: CodeRow {
        code: "OC0228",
        severity: Severity::Warning,
        title: "a text that case folding never yields",
        explain: "`lowerAscii()` yields no capitals and `upperAscii()` no small letters, so a comparison with the other is \
never true.",
        bad: Example::Rules(
            "- id: docs\n  action: allow\n  condition: http.host == \"docs.example.com\" && http.path.lowerAscii().startsWith(\"/API/\")\n  egress: { mode: intercept }\n",
        ),
        good: Example::Rules(
            "- id: docs\n  action: allow\n  condition: http.host == \"docs.example.com\" && http.path.lowerAscii().startsWith(\"/api/\")\n  egress: { mode: intercept }\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (atom, text, span) in subject.texts() {
        let folded = match atom.folded {
            Some(Function::LowerAscii) => text.to_ascii_lowercase(),
            Some(Function::UpperAscii) => text.to_ascii_uppercase(),
            _ => continue,
        };
        // A host in capitals has a lint of its own.
        if !atom.compares() || folded == text || atom.is_host() {
            continue;
        }
        let message = format!("folded to the other case, this never fits {}", quoted(text));
        let finding = subject.anywhere(LINT.row.code, span, message).help(format!("write `{folded}`"));
        findings.push(subject.with_literal(finding, span, &folded));
    }
}
