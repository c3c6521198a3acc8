//! Is a resolver reachable that goes past the DNS filter?

use super::condition::Op;
use super::hosts::suffixes;
use super::suffixes::public;
use outcall_schema::field::Field;

/// Public resolvers, by the names and addresses that answer over HTTPS.
const RESOLVERS: &[&str] = &[
    "dns.google",
    "8.8.8.8",
    "8.8.4.4",
    "cloudflare-dns.com",
    "mozilla.cloudflare-dns.com",
    "chrome.cloudflare-dns.com",
    "one.one.one.one",
    "1dot1dot1dot1.cloudflare-dns.com",
    "1.1.1.1",
    "1.0.0.1",
    "dns.quad9.net",
    "dns9.quad9.net",
    "dns10.quad9.net",
    "dns11.quad9.net",
    "9.9.9.9",
    "149.112.112.112",
    "doh.opendns.com",
    "doh.familyshield.opendns.com",
    "dns.adguard.com",
    "dns.adguard-dns.com",
    "unfiltered.adguard-dns.com",
    "doh.cleanbrowsing.org",
    "dns.nextdns.io",
    "doh.dns.sb",
    "dns.alidns.com",
    "223.5.5.5",
    "223.6.6.6",
    "doh.pub",
    "dns.mullvad.net",
    "freedns.controld.com",
    "doh.libredns.gr",
    "dns.digitale-gesellschaft.ch",
    "doh.applied-privacy.net",
    "odoh.cloudflare-dns.com",
];
use super::{Check, Context, Family, LintRow, Subject};
use crate::diag::{CodeRow, Example, Finding, Severity};

pub(super) const LINT: LintRow = LintRow {
    name: "dns-over-https",
    family: Family::TooWide,
    row: CodeRow {
        code: "OC0271",
        severity: Severity::Warning,
        title: "a resolver that answers over HTTPS",
        explain: "A resolver that is reached over HTTPS answers for any name, past the DNS filter: names that no rule allows \
are resolved there, and every question carries data to whoever owns the name. Leave it out; the sandbox has \
its own resolver.",
        bad: Example::Rules("- id: dns\n  action: allow\n  condition: http.host == \"cloudflare-dns.com\"\n"),
        good: Example::Rules("- id: dns\n  action: allow\n  condition: dns.query == \"www.example.com\"\n"),
    },
    check: Check::Rule(check),
};

fn check(_: &Context<'_>, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    subject.widening(&mut |test, around| {
        let Some(atom) = &test.atom else { return };
        let reached = (atom.is_host() && atom.field != Field::DnsQuery) || atom.field == Field::NetworkIp;
        // With a path that is known, or a port that is not HTTPS, it is something else of theirs.
        if !reached || !test.positive || around.pins.has(Field::HttpPath) || !around.hosts.is_any() {
            return;
        }
        for (text, span) in atom.texts() {
            let below = match atom.op {
                Op::HostMatches => text.strip_prefix("**.").or_else(|| text.strip_prefix("*.")),
                Op::Suffix => text.strip_prefix('.'),
                _ => None,
            };
            // What is below a public suffix has a lint of its own.
            if below.is_some_and(|base| public(base).is_some()) {
                continue;
            }
            let found = RESOLVERS.iter().find(|resolver| match below {
                Some(base) => suffixes(resolver).skip(1).any(|parent| parent == base),
                None => matches!(atom.op, Op::Equals | Op::HostMatches) && **resolver == text,
            });
            if let Some(resolver) = found {
                let message = format!("`{resolver}` resolves any name over HTTPS, past the DNS filter");
                let help =
                    "leave it out; names are resolved by the filter, by what rules say of `dns.query` and `http.host`";
                findings.push(subject.here(LINT.row.code, span, message).help(help));
            }
        }
    });
}
