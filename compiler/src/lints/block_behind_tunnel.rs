//! Is something blocked that passes inside an allowed tunnel?

use super::condition::{REQUEST_FIELDS, Shape};
use super::hosts::{Hosts, suffixes};
use super::{Check, Context, Family, LintRow};
use crate::diag::{CodeRow, Example, Finding, Severity, quoted};
use outcall_schema::decision::Action;
use outcall_schema::field::Field;
use std::collections::HashMap;

pub(super) const LINT: LintRow = LintRow {
    name: "block-behind-tunnel",
    family: Family::Layer,
    row: CodeRow {
        code: "OC0245",
        severity: Severity::Warning,
        title: "a block rule that a tunnel goes past",
        explain: "The rule blocks by method, path, header or body, which are seen in plain HTTP and where TLS is terminated. \
Another rule allows TLS tunnels to the same host, and what it blocks passes inside them. Give that rule \
`mode: intercept`, or limit it to plain HTTP.",
        bad: Example::Rules(
            "- id: no-admin\n  action: block\n  condition: http.host == \"www.example.com\" && http.path.startsWith(\"/admin/\")\n- id: www\n  action: allow\n  condition: http.host == \"www.example.com\"\n",
        ),
        good: Example::Rules(
            "- id: no-admin\n  action: block\n  condition: http.host == \"www.example.com\" && http.path.startsWith(\"/admin/\")\n- id: www\n  action: allow\n  condition: http.host == \"www.example.com\"\n  egress: { mode: intercept }\n",
        ),
    },
    check: Check::Policy(check),
};

/// For each host, name above it, or all: the first rule that decides its TLS connections, by its place in the order, and
/// whether that rule leaves them closed.
#[derive(Default)]
pub(super) struct Tunnels<'p> {
    exact: HashMap<&'p str, (usize, bool)>,
    under: HashMap<&'p str, (usize, bool)>,
    any: Option<(usize, bool)>,
    /// The first rule that allows any tunnel.
    closed: Option<usize>,
}

impl<'p> Tunnels<'p> {
    pub(super) fn of(context: &Context<'p>) -> Tunnels<'p> {
        let mut tunnels = Tunnels::default();
        for (at, subject) in context.subjects.iter().enumerate().filter(|(_, subject)| subject.is(Action::Allow)) {
            let condition = &subject.condition;
            let closed = context.inside.never(subject.rule, &condition.hosts);
            let ports = subject.rule.egress.as_ref().map(|egress| egress.ports.as_slice()).unwrap_or_default();
            let plain = !ports.is_empty() && ports.iter().all(|range| (range.low, range.high) == (80, 80));
            let decides = if closed { condition.over.tunnel } else { condition.over.tls || condition.over.tunnel };
            if !decides || plain {
                continue;
            }
            if closed {
                tunnels.closed.get_or_insert(at);
            }
            match &condition.hosts {
                Hosts::Any => drop(tunnels.any.get_or_insert((at, closed))),
                Hosts::Of(tests) => {
                    for test in tests.iter() {
                        match (test.exact(), test.under()) {
                            (Some(host), _) => drop(tunnels.exact.entry(host).or_insert((at, closed))),
                            (None, Some(base)) => drop(tunnels.under.entry(base).or_insert((at, closed))),
                            (None, None) => drop(tunnels.any.get_or_insert((at, closed))),
                        }
                    }
                }
            }
        }
        tunnels
    }

    /// The rule that allows a tunnel to some of these hosts without looking inside.
    pub(super) fn past(&self, hosts: &Hosts<'_>) -> Option<usize> {
        let Hosts::Of(tests) = hosts else { return self.closed };
        tests.iter().find_map(|test| {
            let host = test.exact()?;
            let under = suffixes(host).skip(1).filter_map(|parent| self.under.get(parent));
            let first = self.exact.get(host).into_iter().chain(under).chain(&self.any).min()?;
            first.1.then_some(first.0)
        })
    }
}

fn check(context: &Context<'_>, findings: &mut Vec<Finding>) {
    let tunnels = Tunnels::of(context);
    for (at, subject) in context.subjects.iter().enumerate().filter(|(_, subject)| subject.is(Action::Block)) {
        let mut found = None;
        subject.condition.parts(&mut |part, around| {
            let Shape::Test(test) = &part.shape else { return };
            let hidden = test.fields.meets(&REQUEST_FIELDS) && !part.over.tunnel && part.over.and(around.over).tls;
            if found.is_none() && hidden {
                // What comes before this rule decides without it anyway.
                found = tunnels.past(around.hosts).filter(|allow| *allow > at).map(|allow| (test, allow));
            }
        });
        let Some((test, allow)) = found else { continue };
        let Some(allow) = context.subjects.get(allow) else { continue };
        let field = test.fields.iter().find(|field| REQUEST_FIELDS.contains(field)).unwrap_or(Field::HttpPath);
        let message = format!(
            "the rule {} allows a TLS tunnel, in which `{}` is not seen and nothing is blocked",
            quoted(&allow.rule.id),
            field.name()
        );
        let help = "give that rule `mode: intercept`, or limit it to `http.scheme == \"http\"`";
        findings.push(subject.here(LINT.row.code, &test.expr.span, message).help(help));
    }
}
