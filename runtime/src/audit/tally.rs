//! What the end-of-run summary counts, in bounded memory.

use std::collections::HashMap;

use serde::Serialize;

use super::record::{Decision, Record};

/// Most pairs of rule and destination that are told apart; the rest is counted by rule alone. An agent that asks for
/// random names fills this and no more: about 1 MiB.
const DESTINATIONS_MAX: usize = 4_096;

/// The counters. There are at most two per rule and layer kind, and a bounded number of destinations.
#[derive(Debug, Default)]
pub(super) struct Tally {
    rules: HashMap<(Decision, String), RuleTally>,
    destinations: usize,
}

#[derive(Debug, Default)]
struct RuleTally {
    count: u64,
    reasons: HashMap<&'static str, u64>,
    destinations: HashMap<String, u64>,
}

/// What one rule, or the default, let pass or refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleSummary {
    /// Whether it passed.
    pub decision: Decision,
    /// The rule's id, or `default`.
    pub rule: String,
    /// How often.
    pub count: u64,
    /// How often for each reason, the most frequent first.
    pub reasons: Vec<(&'static str, u64)>,
    /// How often for each destination, the most frequent first.
    pub destinations: Vec<(String, u64)>,
    /// How often for destinations that are not listed because there were too many.
    pub others: u64,
}

impl Tally {
    pub(super) fn count(&mut self, record: &Record) {
        let rule = self.rules.entry((record.decision, record.rule.clone())).or_default();
        rule.count += 1;
        *rule.reasons.entry(record.reason).or_default() += 1;
        if let Some(count) = rule.destinations.get_mut(&record.destination) {
            *count += 1;
        } else if self.destinations < DESTINATIONS_MAX {
            self.destinations += 1;
            rule.destinations.insert(record.destination.clone(), 1);
        }
    }

    /// All counters: what passed first, then what was refused, each by count.
    pub(super) fn summary(&self) -> Vec<RuleSummary> {
        let mut rules: Vec<RuleSummary> = self
            .rules
            .iter()
            .map(|((decision, rule), tally)| RuleSummary {
                decision: *decision,
                rule: rule.clone(),
                count: tally.count,
                reasons: by_count(tally.reasons.iter().map(|(reason, count)| (*reason, *count))),
                destinations: by_count(tally.destinations.iter().map(|(to, count)| (to.clone(), *count))),
                others: tally.count - tally.destinations.values().sum::<u64>(),
            })
            .collect();
        rules.sort_by(|a, b| a.decision.cmp(&b.decision).then(b.count.cmp(&a.count)).then_with(|| a.rule.cmp(&b.rule)));
        rules
    }
}

fn by_count<K: Ord>(counts: impl Iterator<Item = (K, u64)>) -> Vec<(K, u64)> {
    let mut counts: Vec<(K, u64)> = counts.collect();
    counts.sort_by(|(a, times_a), (b, times_b)| times_b.cmp(times_a).then_with(|| a.cmp(b)));
    counts
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;

    #[test]
    fn counts_by_rule_and_destination() {
        let mut tally = Tally::default();
        for (rule, destination, decision) in [
            ("default", "b.example A", Decision::Block),
            ("default", "a.example A", Decision::Block),
            ("default", "b.example A", Decision::Block),
            ("web", "c.example:443", Decision::Allow),
        ] {
            tally.count(&record(rule, destination, decision));
        }
        let summary = tally.summary();
        assert_eq!(summary.len(), 2);
        assert_eq!((summary[0].rule.as_str(), summary[0].count), ("web", 1));
        assert_eq!(summary[1].destinations, [("b.example A".to_owned(), 2), ("a.example A".to_owned(), 1)]);
        assert_eq!(summary[1].reasons, [("no_rule_allows", 3)]);
        assert_eq!(summary[1].others, 0);
    }

    #[test]
    fn destinations_are_bounded_and_the_totals_stay_exact() {
        let mut tally = Tally::default();
        for at in 0..10_000 {
            tally.count(&record("default", &format!("{at}.example A"), Decision::Block));
        }
        let summary = tally.summary();
        assert_eq!(summary[0].count, 10_000);
        assert_eq!(summary[0].destinations.len(), DESTINATIONS_MAX);
        assert_eq!(summary[0].others, 10_000 - DESTINATIONS_MAX as u64);
    }
}
