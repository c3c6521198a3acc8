//! Does a pattern say that anything may stand around it?

use super::condition::Op;
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity};

pub(super) const LINT: LintRow = LintRow {
    name: "pattern-stars",
    family: Family::Style,
    row: CodeRow {
        code: "OC0295",
        severity: Severity::Note,
        title: "a pattern that begins or ends with anything",
        explain: "A regular expression is found anywhere in a text, so `.*` at its beginning or end says nothing. Perhaps `^` \
or `$` is what was meant: those tie it to the ends.",
        bad: Example::Rules(
            "- id: api\n  action: allow\n  condition: http.host == \"api.example.com\" && http.path.matches(r\"^/v1/.*\")\n  egress: { mode: intercept }\n",
        ),
        good: Example::Rules(
            "- id: api\n  action: allow\n  condition: http.host == \"api.example.com\" && http.path.matches(r\"^/v1/\")\n  egress: { mode: intercept }\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (atom, text, span) in subject.texts() {
        if atom.op != Op::Matches {
            continue;
        }
        let Some(bare) = bare(text) else { continue };
        let message = "`.*` at an end of a pattern says nothing: it is found anywhere already".to_owned();
        let finding = subject.anywhere(LINT.row.code, span, message);
        findings.push(subject.with_literal(
            finding.help("leave it out, or write `^` and `$` where they are meant"),
            span,
            bare,
        ));
    }
}

/// The pattern without `.*` at its ends, where it has one.
fn bare(pattern: &str) -> Option<&str> {
    let mut bare = pattern;
    // What follows would count the repetition, or make it lazy.
    if let Some(rest) = bare.strip_prefix(".*").filter(|rest| !rest.starts_with(['*', '+', '?', '{'])) {
        bare = rest;
    }
    if let Some(rest) = bare.strip_suffix(".*").filter(|rest| !rest.ends_with('\\')) {
        bare = rest;
    }
    // With flags, in a class or among alternatives it can say something.
    let plain = !bare.is_empty() && !pattern.contains(['|', '[']) && !pattern.contains("(?");
    (plain && bare.len() < pattern.len()).then_some(bare)
}

#[cfg(test)]
mod tests {
    use super::bare;

    #[test]
    fn only_what_says_nothing_is_left_out() {
        for (pattern, expected) in [
            (".*a.*", Some("a")),
            ("^/v1/.*", Some("^/v1/")),
            (".*a$", Some("a$")),
            ("a", None),
            (".*", None),
            (r"a\.*", None),
            ("^.*a", None),
            (".*?a", None),
            ("a|.*", None),
            ("[.*", None),
        ] {
            assert_eq!(bare(pattern), expected, "{pattern}");
        }
    }
}
