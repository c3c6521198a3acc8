//! Lints: what compiles and very likely does not do what its author wants.
//!
//! A lint is a file here and its row in [`LINTS`]; the row has the code, its page with an example that fires and one that
//! stays quiet, and the check. Checks are linear in the text of the policy: they never compare rules pair by pair.

#![expect(dead_code, reason = "the lints that use the rest of what is shared follow")]

mod condition;
mod exact;
mod hosts;
mod literals;
mod patterns;
mod subject;
mod suffixes;
mod tenants;

mod address_as_text;
mod address_never_canonical;
mod address_without_name;
mod any_host;
mod bare_address;
mod block_behind_tunnel;
mod body_not_read;
mod connect_with_path;
mod definition_unused;
mod description_missing;
mod direct_ip_without_address;
mod dns_over_https;
mod duty_without_allow;
mod egress_without_traffic;
mod enrich_behind_tunnel;
mod everything_but;
mod field_never_asked;
mod folded_literal;
mod guard_of_another;
mod guard_with_or;
mod header_as_identity;
mod header_name_case;
mod host_contains;
mod host_mixed_case;
mod host_never_canonical;
mod host_pattern_dot;
mod host_pattern_misplaced;
mod host_pattern_open;
mod host_prefix;
mod host_trailing_dot;
mod host_with_star;
mod host_with_url_parts;
mod intercept_bypassed;
mod interception_host_bypassed;
mod match_body_unused;
mod metadata_service;
mod method_lower_case;
mod method_unknown;
mod name_for_nothing;
mod name_refused;
mod nameless_agent;
mod negation_of_unknown;
mod network_of_a_host;
mod no_layer_knows_both;
mod number_out_of_range;
mod order_by_file_name;
mod path_never_canonical;
mod path_prefix_open;
mod path_test_in_query;
mod path_without_query;
mod pattern_stars;
mod port_not_opened;
mod priority_unused;
mod private_by_any_name;
mod public_suffix;
mod request_test_behind_tls;
mod rule_always_true;
mod rule_duplicate;
mod rule_never_true;
mod rule_unreachable;
mod secret_in_clear;
mod shared_tenant;
mod size_not_known;
mod strict_without_interception;
mod suffix_without_dot;
mod suppression_unused;
mod test_always_true;
mod test_repeated;
mod tunnel_passes_request_test;
mod wildcard_text_records;
mod word_never_used;

use std::cell::OnceCell;
use std::fmt::Write;

use crate::analyse::Fate;
use crate::cel::typed::Expr;
use crate::diag::{CodeRow, Finding};
use crate::resolve::Policy;
use exact::Exact;
use hosts::Inside;
use patterns::Patterns;
pub(crate) use subject::Subject;
pub(crate) use suppression_unused::UNUSED_SUPPRESSION;

/// What a lint is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// What never happens: values that no request has, parts that nothing uses.
    Never,
    /// What the layer that decides cannot see.
    Layer,
    /// Conditions that are neither true nor false.
    ThreeValued,
    /// More is allowed than people will read.
    TooWide,
    /// Who the agent is.
    Agent,
    /// How rules are written.
    Style,
}

impl Family {
    /// Every family, in the order of their codes.
    pub const ALL: [Family; 6] =
        [Family::Never, Family::Layer, Family::ThreeValued, Family::TooWide, Family::Agent, Family::Style];

    /// The heading on the page.
    pub const fn title(self) -> &'static str {
        match self {
            Family::Never => "Never",
            Family::Layer => "Layers",
            Family::ThreeValued => "Neither true nor false",
            Family::TooWide => "Too wide",
            Family::Agent => "Agents",
            Family::Style => "Style",
        }
    }
}

/// How a lint looks at a policy.
#[derive(Clone, Copy)]
pub enum Check {
    /// At each rule by itself.
    Rule(fn(&Context<'_>, &Subject<'_>, &mut Vec<Finding>)),
    /// At the policy as a whole.
    Policy(fn(&Context<'_>, &mut Vec<Finding>)),
    /// At the policy as a whole, by exact analysis; after all others, whose findings it sees.
    Exact(fn(&Context<'_>, &mut Vec<Finding>)),
    /// Found by another part of the compiler as a by-product.
    Elsewhere,
}

/// A lint.
pub struct LintRow {
    /// Its name, for people: the name of its file with hyphens.
    pub name: &'static str,
    /// What it is about.
    pub family: Family,
    /// Its code, severity, explanation and examples.
    pub row: CodeRow,
    /// How it is found.
    pub check: Check,
}

/// Every lint, by code.
pub static LINTS: &[&LintRow] = &[
    &rule_never_true::LINT,
    &rule_always_true::LINT,
    &rule_unreachable::LINT,
    &rule_duplicate::LINT,
    &duty_without_allow::LINT,
    &definition_unused::LINT,
    &host_with_url_parts::LINT,
    &host_with_star::LINT,
    &host_never_canonical::LINT,
    &method_lower_case::LINT,
    &method_unknown::LINT,
    &path_never_canonical::LINT,
    &address_never_canonical::LINT,
    &number_out_of_range::LINT,
    &word_never_used::LINT,
    &header_name_case::LINT,
    &host_pattern_misplaced::LINT,
    &folded_literal::LINT,
    &test_always_true::LINT,
    &request_test_behind_tls::LINT,
    &tunnel_passes_request_test::LINT,
    &match_body_unused::LINT,
    &body_not_read::LINT,
    &direct_ip_without_address::LINT,
    &connect_with_path::LINT,
    &intercept_bypassed::LINT,
    &interception_host_bypassed::LINT,
    &strict_without_interception::LINT,
    &address_without_name::LINT,
    &network_of_a_host::LINT,
    &field_never_asked::LINT,
    &no_layer_knows_both::LINT,
    &port_not_opened::LINT,
    &egress_without_traffic::LINT,
    &block_behind_tunnel::LINT,
    &name_for_nothing::LINT,
    &name_refused::LINT,
    &enrich_behind_tunnel::LINT,
    &negation_of_unknown::LINT,
    &everything_but::LINT,
    &guard_of_another::LINT,
    &guard_with_or::LINT,
    &size_not_known::LINT,
    &suffix_without_dot::LINT,
    &host_contains::LINT,
    &host_pattern_open::LINT,
    &host_pattern_dot::LINT,
    &public_suffix::LINT,
    &path_prefix_open::LINT,
    &path_without_query::LINT,
    &any_host::LINT,
    &shared_tenant::LINT,
    &private_by_any_name::LINT,
    &metadata_service::LINT,
    &dns_over_https::LINT,
    &bare_address::LINT,
    &wildcard_text_records::LINT,
    &host_prefix::LINT,
    &address_as_text::LINT,
    &path_test_in_query::LINT,
    &header_as_identity::LINT,
    &secret_in_clear::LINT,
    &nameless_agent::LINT,
    &order_by_file_name::LINT,
    &host_mixed_case::LINT,
    &host_trailing_dot::LINT,
    &description_missing::LINT,
    &priority_unused::LINT,
    &pattern_stars::LINT,
    &test_repeated::LINT,
    &suppression_unused::LINT,
];

/// What checks look at.
pub struct Context<'p> {
    /// The policy.
    pub policy: &'p Policy,
    /// Its rules in evaluation order, each prepared for looking at.
    pub(crate) subjects: Vec<Subject<'p>>,
    /// Where TLS is terminated.
    pub(crate) inside: Inside,
    /// What patterns accept.
    pub(crate) patterns: &'p Patterns,
    exact: OnceCell<Exact>,
}

impl Context<'_> {
    /// What exact analysis says.
    pub(crate) fn exact(&self) -> &Exact {
        self.exact.get_or_init(|| Exact::of(self.policy))
    }
}

/// What looking at a policy came to.
#[derive(Debug, Default)]
pub struct Checked {
    /// What was found.
    pub findings: Vec<Finding>,
    /// The steps that exact analysis took to find out which rules are ever reached.
    pub steps: u64,
    /// The rules, by number, of which it did not find out.
    pub not_proven: Vec<usize>,
}

/// Looks at a policy that was resolved without an error.
pub fn check(policy: &Policy) -> Checked {
    let patterns = Patterns::default();
    let conditions: Vec<std::borrow::Cow<'_, Expr>> =
        policy.rules.iter().map(|rule| condition::written_out(&rule.condition)).collect();
    let subjects =
        policy.rules.iter().zip(&conditions).map(|(rule, condition)| Subject::of(rule, condition, &patterns)).collect();
    let context = Context {
        policy,
        subjects,
        inside: Inside::of(&policy.interception),
        patterns: &patterns,
        exact: OnceCell::new(),
    };
    let mut findings = Vec::new();
    for lint in LINTS {
        match lint.check {
            Check::Rule(check) => {
                for subject in &context.subjects {
                    check(&context, subject, &mut findings);
                }
            }
            Check::Policy(check) => check(&context, &mut findings),
            Check::Exact(_) | Check::Elsewhere => {}
        }
    }
    for lint in LINTS {
        if let Check::Exact(check) = lint.check {
            check(&context, &mut findings);
        }
    }
    let reach = &context.exact().reach;
    let unknown = (0..).zip(&reach.fates).filter(|(_, fate)| **fate == Fate::Unknown);
    Checked { findings, steps: reach.steps, not_proven: unknown.map(|(rule, _)| rule).collect() }
}

/// The page of all lints, `compiler/LINTS.md`.
pub fn page() -> String {
    let mut out = String::from(
        "# Lints\n\nWhat `outcall compile` says about rules that compile and very likely do not do what their author wants. \
         Printed from the\ntable in the code; `outcall explain OC0260` prints one entry. A comment `# outcall: allow OC0260 \
         why`, directly above a rule\nor a key, suppresses one there.\n",
    );
    let shown = |text: &str| text.trim_end().to_owned();
    for family in Family::ALL {
        let lints = || LINTS.iter().filter(|lint| lint.family == family);
        if lints().next().is_none() {
            continue;
        }
        // Writing to a string cannot fail.
        let _ = write!(out, "\n## {}\n\n| code | | name | about |\n|---|---|---|---|\n", family.title());
        for lint in lints() {
            let title = lint.row.title.replace('|', "\\|");
            let _ = writeln!(out, "| {} | {} | {} | {title} |", lint.row.code, lint.row.severity.name(), lint.name);
        }
        for lint in lints() {
            let CodeRow { code, title, explain, bad, good, .. } = &lint.row;
            let (bad, good) = (shown(&bad.shown()), shown(&good.shown()));
            let _ = write!(out, "\n### {code}: {title}\n\n{explain}\n\n");
            let _ = write!(out, "```yaml\n{bad}\n```\n\nInstead:\n\n```yaml\n{good}\n```\n");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_their_codes_and_each_has_its_file() {
        let codes: Vec<&str> = LINTS.iter().map(|lint| lint.row.code).collect();
        assert!(codes.is_sorted(), "{codes:?}");
        let families: Vec<Family> = LINTS.iter().map(|lint| lint.family).collect();
        assert!(families.is_sorted(), "each family has a range of codes");
        let shared = ["mod", "condition", "exact", "hosts", "literals", "patterns", "subject", "suffixes", "tenants"];
        let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lints");
        let files: BTreeSet<String> = std::fs::read_dir(directory)
            .unwrap()
            .filter_map(|entry| entry.unwrap().path().file_stem().map(|stem| stem.to_string_lossy().into_owned()))
            .filter(|stem| !shared.contains(&stem.as_str()))
            .collect();
        let rows: BTreeSet<String> = LINTS.iter().map(|lint| lint.name.replace('-', "_")).collect();
        assert_eq!(files, rows);
        assert_eq!(rows.len(), LINTS.len(), "a name is used twice");
    }
}
