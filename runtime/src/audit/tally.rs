//! What the end-of-run summary counts, in bounded memory.

use std::collections::HashMap;

use outcall_schema::layer::Layer;
use serde::Serialize;

use super::record::{Decision, Record};

/// Most pairs of rule and destination that are told apart; the rest is counted by rule alone. An agent that asks for
/// random names fills this and no more: about 1 MiB.
const DESTINATIONS_MAX: usize = 4_096;

/// Most agents that are told apart; those beyond are counted together. Their names come from the host, which has addresses
/// for fewer at a time.
const AGENTS_MAX: usize = 1_024;

/// How often something passed, and how often it was refused or failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Passed {
    /// How often it passed.
    pub allowed: u64,
    /// How often it was refused, or failed.
    pub blocked: u64,
}

impl Passed {
    fn count(&mut self, decision: Decision) {
        match decision {
            Decision::Allow => self.allowed += 1,
            Decision::Block => self.blocked += 1,
        }
    }
}

/// All decisions, counted in three ways; each way has the same sum.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// By layer, decision and code of the reason, in that order.
    pub layers: Vec<((Layer, Decision, &'static str), u64)>,
    /// By the deciding rule's id, or `default`, the most frequent first.
    pub rules: Vec<(String, Passed)>,
    /// The same by rule and decision, in the order in which they first came.
    pub by_rule: Vec<(String, Decision, u64)>,
    /// By agent, the most frequent first. The empty name is who is not known.
    pub agents: Vec<(String, Passed)>,
    /// Agents that are not told apart because there were too many.
    pub other_agents: Passed,
}

/// The counters. There are at most two per rule and layer kind, and a bounded number of destinations.
#[derive(Debug, Default)]
pub(super) struct Tally {
    rules: HashMap<(Decision, String), RuleTally>,
    destinations: usize,
    layers: HashMap<(Layer, Decision, &'static str), u64>,
    agents: HashMap<String, Passed>,
    other_agents: Passed,
}

#[derive(Debug, Default)]
struct RuleTally {
    /// How many others were there before.
    place: usize,
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
        let place = self.rules.len();
        let new = || RuleTally { place, ..RuleTally::default() };
        let rule = self.rules.entry((record.decision, record.rule.clone())).or_insert_with(new);
        rule.count += 1;
        *self.layers.entry((record.layer, record.decision, record.reason)).or_default() += 1;
        *rule.reasons.entry(record.reason).or_default() += 1;
        if let Some(count) = rule.destinations.get_mut(&record.destination) {
            *count += 1;
        } else if self.destinations < DESTINATIONS_MAX {
            self.destinations += 1;
            rule.destinations.insert(record.destination.clone(), 1);
        }
        self.count_agent(&record.agent, record.decision);
    }

    fn count_agent(&mut self, agent: &str, decision: Decision) {
        let room = self.agents.len() < AGENTS_MAX;
        match self.agents.get_mut(agent) {
            Some(passed) => passed.count(decision),
            None if room => self.agents.entry(agent.to_owned()).or_default().count(decision),
            None => self.other_agents.count(decision),
        }
    }

    /// All decisions.
    pub(super) fn counts(&self) -> Counts {
        let mut layers: Vec<_> = self.layers.iter().map(|(key, count)| (*key, *count)).collect();
        layers.sort_unstable();
        let mut rules: HashMap<&str, Passed> = HashMap::new();
        for ((decision, rule), tally) in &self.rules {
            let passed = rules.entry(rule).or_default();
            match decision {
                Decision::Allow => passed.allowed += tally.count,
                Decision::Block => passed.blocked += tally.count,
            }
        }
        let mut by_rule: Vec<_> = self.rules.iter().collect();
        by_rule.sort_unstable_by_key(|(_, tally)| tally.place);
        let by_rule = by_rule.into_iter().map(|((decision, rule), tally)| (rule.clone(), *decision, tally.count));
        Counts {
            layers,
            by_rule: by_rule.collect(),
            rules: by_sum(rules.into_iter().map(|(rule, passed)| (rule.to_owned(), passed))),
            agents: by_sum(self.agents.iter().map(|(agent, passed)| (agent.clone(), *passed))),
            other_agents: self.other_agents,
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

fn by_sum(counts: impl Iterator<Item = (String, Passed)>) -> Vec<(String, Passed)> {
    let mut counts: Vec<_> = counts.collect();
    let sum = |passed: &Passed| passed.allowed + passed.blocked;
    counts.sort_unstable_by(|(a, one), (b, other)| sum(other).cmp(&sum(one)).then_with(|| a.cmp(b)));
    counts
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

    #[test]
    fn decisions_are_counted_by_layer_rule_and_agent_and_the_sums_are_one() {
        let mut tally = Tally::default();
        for (agent, rule, decision) in
            [("a", "web", Decision::Allow), ("b", "web", Decision::Block), ("b", "default", Decision::Block)]
        {
            tally.count(&Record { agent: agent.into(), ..record(rule, "x.example A", decision) });
        }
        let counts = tally.counts();
        let reason = "no_rule_allows";
        assert_eq!(
            counts.layers,
            [((Layer::Dns, Decision::Allow, reason), 1), ((Layer::Dns, Decision::Block, reason), 2)]
        );
        let passed = |allowed, blocked| Passed { allowed, blocked };
        assert_eq!(counts.rules, [("web".to_owned(), passed(1, 1)), ("default".to_owned(), passed(0, 1))]);
        assert_eq!(counts.agents, [("b".to_owned(), passed(0, 2)), ("a".to_owned(), passed(1, 0))]);
        let expected = [("web", Decision::Allow, 1), ("web", Decision::Block, 1), ("default", Decision::Block, 1)];
        assert_eq!(counts.by_rule, expected.map(|(rule, decision, count)| (rule.to_owned(), decision, count)));
        for at in 0..2_000 {
            tally.count(&Record { agent: format!("{at}"), ..record("web", "x.example A", Decision::Allow) });
        }
        let counts = tally.counts();
        assert_eq!((counts.agents.len(), counts.other_agents), (AGENTS_MAX, passed(2_002 - AGENTS_MAX as u64, 0)));
        assert_eq!(counts.rules[0], ("web".to_owned(), passed(2_001, 1)));
    }
}
