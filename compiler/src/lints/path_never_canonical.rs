//! Is a path compared with something that is none?

use super::condition::Op;
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};
use outcall_schema::field::Field;
use outcall_schema::path::{self, PathError};

pub(super) const LINT: LintRow = LintRow {
    name: "path-never-canonical",
    family: Family::Never,
    row: CodeRow {
        code: "OC0222",
        severity: Severity::Warning,
        title: "a path that is never written so",
        explain: "`http.path` begins with a slash and holds path and query exactly as they are forwarded. A `..` segment, a \
backslash, a blank, a fragment or a character beyond ASCII is refused before any rule is asked, so a test \
for one is never true.",
        bad: Example::Rules(
            "- id: docs\n  action: allow\n  condition: http.host == \"docs.example.com\" && http.path.startsWith(\"docs/\")\n  egress: { mode: intercept }\n",
        ),
        good: Example::Rules(
            "- id: docs\n  action: allow\n  condition: http.host == \"docs.example.com\" && http.path.startsWith(\"/docs/\")\n  egress: { mode: intercept }\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (atom, text, span) in subject.texts() {
        if atom.field != Field::HttpPath {
            continue;
        }
        let Some(problem) = problem(atom.op, text) else { continue };
        let message = format!("no path fits {}: {problem}", quoted(text));
        let finding = subject.anywhere(LINT.row.code, span, message);
        let absolute = format!("/{text}");
        let word = text.starts_with(|first: char| first.is_ascii_alphanumeric()) && !text.contains(':');
        findings.push(if problem == PathError::NotAbsolute && word && path::check(&absolute).is_ok() {
            subject.with_literal(finding.help(format!("write `{absolute}`")), span, &absolute)
        } else {
            finding.help("write the path as it is sent, from its first slash on, with its percent-escapes")
        });
    }
}

/// Why no path is so.
fn problem(op: Op, text: &str) -> Option<PathError> {
    match op {
        Op::Equals => path::check(text).err(),
        Op::Prefix if !text.is_empty() && !text.starts_with('/') => Some(PathError::NotAbsolute),
        Op::Prefix | Op::Suffix | Op::Contains => {
            let bad = |byte: u8| !matches!(byte, 0x21..=0x7e) || byte == b'#';
            if text.bytes().any(bad) {
                Some(PathError::Character)
            } else {
                text.contains('\\').then_some(PathError::Backslash)
            }
        }
        Op::Matches | Op::HostMatches | Op::InCidr | Op::Order(_) | Op::Present => None,
    }
}
