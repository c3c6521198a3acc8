//! Is a method misspelt?

use super::condition::Op;
use crate::diag::nearest;
use outcall_schema::field::Field;

/// Registered methods (IANA, HTTP Method Registry), and the ones that caches and proxies have in common.
const METHODS: &[&str] = &[
    "ACL",
    "BASELINE-CONTROL",
    "BIND",
    "CHECKIN",
    "CHECKOUT",
    "CONNECT",
    "COPY",
    "DELETE",
    "GET",
    "HEAD",
    "LABEL",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "MOVE",
    "NOTIFY",
    "OPTIONS",
    "ORDERPATCH",
    "PATCH",
    "POST",
    "PRI",
    "PROPFIND",
    "PROPPATCH",
    "PURGE",
    "PUT",
    "QUERY",
    "REBIND",
    "REPORT",
    "SEARCH",
    "SUBSCRIBE",
    "TRACE",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UNLOCK",
    "UNSUBSCRIBE",
    "UPDATE",
    "UPDATEREDIRECTREF",
    "VERSION-CONTROL",
];

/// The ones that people write most often, so that what is close to one of them was meant to be it.
const USUAL: &[&str] = &["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE"];
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};

pub(super) const LINT: LintRow = LintRow {
    name: "method-unknown",
    family: Family::Never,
    row: CodeRow {
        code: "OC0221",
        severity: Severity::Warning,
        title: "a method that looks misspelt",
        explain: "The method is no registered one and close to one that is, so it is probably a slip of the pen, and the test \
is never true. Methods of your own are fine.",
        bad: Example::Rules(
            "- id: docs\n  action: allow\n  condition: http.host == \"docs.example.com\" && http.method == \"GTE\"\n  egress: { mode: intercept }\n",
        ),
        good: Example::Rules(
            "- id: docs\n  action: allow\n  condition: http.host == \"docs.example.com\" && http.method == \"GET\"\n  egress: { mode: intercept }\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for (atom, text, span) in subject.texts() {
        let upper = text.to_ascii_uppercase();
        let plain = text.len() > 2 && text == upper && atom.folded.is_none();
        if atom.field != Field::HttpMethod || atom.op != Op::Equals || !plain || METHODS.contains(&text) {
            continue;
        }
        let Some(near) = nearest(text, USUAL.iter().copied()) else { continue };
        let message = format!("{} is no registered method", quoted(text));
        // No fix: it may be a method of their own after all.
        findings.push(subject.anywhere(LINT.row.code, span, message).help(format!("did you mean `{near}`?")));
    }
}
