//! Is a host allowed on which anybody has an account?

use super::condition::Op;
use super::hosts::{HostTest, suffixes};
use super::suffixes::public;
use super::tenants::{Kind, SHARED};
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};
use outcall_schema::field::Field;

pub(super) const LINT: LintRow = LintRow {
    name: "shared-tenant",
    family: Family::TooWide,
    row: CodeRow {
        code: "OC0268",
        severity: Severity::Warning,
        title: "a host that everybody has an account on",
        explain: "On these hosts anybody can have a repository, a bucket, a paste or a webhook, told apart by the path and not \
by the host. A rule for the host allows the account of an attacker as well as your own, to read from and to \
send to. Test the path with `mode: intercept`, or the method where only reading is meant.",
        bad: Example::Rules("- id: code\n  action: allow\n  condition: http.host == \"github.com\"\n"),
        good: Example::Rules(
            "- id: code\n  action: allow\n  condition: http.host == \"github.com\" && http.path.startsWith(\"/example/\")\n  egress: { mode: intercept }\n",
        ),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    subject.widening(&mut |test, around| {
        let hosts = [Field::HttpHost, Field::NetworkHostname, Field::TlsSni];
        let told = around.asks.meets(&[Field::HttpPath, Field::HttpMethod, Field::HttpHeaders]);
        let Some(atom) = test.atom.as_ref().filter(|atom| hosts.contains(&atom.field) && test.positive && !told) else {
            return;
        };
        let named = atom.texts().filter(|_| matches!(atom.op, Op::Equals | Op::HostMatches | Op::Suffix));
        let mut found = named.filter_map(|(text, span)| {
            let (host, kind) = shared(&HostTest { op: atom.op, text, span: span.clone() })?;
            Some((host, kind, span))
        });
        let Some((host, kind, span)) = found.next() else { return };
        let others = match found.count() {
            0 => "is shared".to_owned(),
            1 => "and one more are shared".to_owned(),
            others => format!("and {others} more are shared"),
        };
        let message = format!("{} {others}: {}", quoted(host), kind.what());
        let help =
            "test the path with `mode: intercept` to name the account, or the method where only reading is meant";
        findings.push(subject.here(LINT.row.code, span, message).help(help));
    });
}

/// The shared host that a test lets in.
fn shared(test: &HostTest<'_>) -> Option<(&'static str, Kind)> {
    if let Some(host) = test.exact() {
        return SHARED.iter().find(|(shared, _)| *shared == host).copied();
    }
    // What is below a public suffix has a lint of its own.
    let base = test.under().filter(|base| public(base).is_none())?;
    SHARED.iter().find(|(shared, _)| suffixes(shared).any(|parent| parent == base) && base.contains('.')).copied()
}
