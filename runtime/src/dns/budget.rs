//! How much of what an agent makes up may leave the host in names: a budget for each agent, over any minute.
//!
//! A rule that allows `*.allowed.test` lets the agent choose what stands before the suffix, and whoever runs the name servers
//! of `allowed.test` reads it. Names that rules write out say nothing but when they are asked for, so they cost nothing; nor
//! does what the cache answers, as it does not leave the host.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use domain::base::iana::Rtype;

use super::cache::Key;

/// Over how long names are counted.
const WINDOW: Duration = Duration::from_secs(60);

/// What an agent may ask for that no rule writes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Different names in any minute. 600: a heavy page names some 100 hosts, and those are answered from the cache when the
    /// next page names them again; package managers name fewer than ten.
    pub names: usize,
    /// Bytes of all these names in any minute, without the suffixes that rules write out. 16,384: 27 for each of the names,
    /// while shards and buckets have some 15.
    pub bytes: usize,
    /// Labels of one name before its suffix. 10: names of services in clouds have up to 7 in all. Tunnels fill a name up.
    pub labels: usize,
}

impl Budget {
    /// What an agent has where the operator says nothing.
    pub const DEFAULT: Budget = Budget { names: 600, bytes: 16_384, labels: 10 };
}

/// There is nothing left of the agent's budget for this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spent;

/// What all agents have left.
#[derive(Debug)]
pub(super) struct Purses {
    budget: Option<Budget>,
    /// Names are remembered by a hash that agents cannot choose names for.
    hasher: RandomState,
    agents: Mutex<HashMap<Arc<str>, Purse>>,
}

/// What one agent asked for within the window: never more than its budget has names.
#[derive(Debug, Default)]
struct Purse {
    asked: VecDeque<Asked>,
    known: HashSet<u64>,
    bytes: usize,
}

#[derive(Debug)]
struct Asked {
    at: Instant,
    name: u64,
    bytes: usize,
}

impl Purses {
    /// Nobody asked for anything yet; without a budget anybody may.
    pub(super) fn new(budget: Option<Budget>) -> Purses {
        Purses { budget, hasher: RandomState::new(), agents: Mutex::default() }
    }

    /// Charges `agent` for a question of whose name it made up `unwritten`. What it asked for within the window costs nothing
    /// again, whatever the family of addresses.
    pub(super) fn spend(&self, agent: &str, key: &Key, unwritten: &str, now: Instant) -> Result<(), Spent> {
        let Some(budget) = &self.budget else { return Ok(()) };
        if unwritten.split('.').count() > budget.labels {
            return Err(Spent);
        }
        let (name, rtype) = key;
        // Which of the usual types is asked for follows from what a client is; of all types one could make an alphabet.
        let usual = matches!(*rtype, Rtype::A | Rtype::AAAA | Rtype::HTTPS | Rtype::CNAME);
        let name = self.hasher.hash_one((name, if usual { 0 } else { rtype.to_int() }));
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        let purse = match agents.get_mut(agent) {
            Some(purse) => purse,
            None => {
                // Agents come and go: those who asked for nothing lately are forgotten when another comes.
                agents.retain(|_, purse| {
                    purse.forget(now);
                    !purse.asked.is_empty()
                });
                agents.entry(agent.into()).or_default()
            }
        };
        purse.forget(now);
        purse.spend(budget, Asked { at: now, name, bytes: unwritten.len() })
    }
}

impl Purse {
    fn forget(&mut self, now: Instant) {
        while let Some(oldest) = self.asked.front().filter(|oldest| now.saturating_duration_since(oldest.at) >= WINDOW)
        {
            self.known.remove(&oldest.name);
            self.bytes -= oldest.bytes;
            self.asked.pop_front();
        }
    }

    fn spend(&mut self, budget: &Budget, asked: Asked) -> Result<(), Spent> {
        if self.known.contains(&asked.name) {
            return Ok(());
        }
        if self.asked.len() >= budget.names || self.bytes + asked.bytes > budget.bytes {
            return Err(Spent);
        }
        self.known.insert(asked.name);
        self.bytes += asked.bytes;
        self.asked.push_back(asked);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Budget = Budget { names: 3, bytes: 12, labels: 2 };

    /// Asks one after the other, so many seconds after the beginning; what of it is allowed.
    #[track_caller]
    fn check(budget: Option<Budget>, asked: &[(u64, &str, &str, Rtype, bool)]) {
        let (purses, start) = (Purses::new(budget), Instant::now());
        for (second, agent, unwritten, rtype, allowed) in asked {
            let key = (Arc::from(format!("{unwritten}.allowed.test")), *rtype);
            let spent = purses.spend(agent, &key, unwritten, start + Duration::from_secs(*second));
            assert_eq!(spent.is_ok(), *allowed, "{second} {agent} {unwritten} {rtype}");
        }
    }

    #[test]
    fn so_many_names_in_any_minute() {
        let a = Rtype::A;
        check(
            Some(BUDGET),
            &[
                (0, "ci", "a", a, true),
                (10, "ci", "b", a, true),
                (20, "ci", "c", a, true),
                (59, "ci", "d", a, false),
                (60, "ci", "d", a, true),
                (69, "ci", "e", a, false),
                (70, "ci", "e", a, true),
                (200, "ci", "f", a, true),
            ],
        );
    }

    #[test]
    fn the_same_name_costs_once_whatever_the_family_and_other_types_cost_again() {
        check(
            Some(BUDGET),
            &[
                (0, "ci", "a", Rtype::A, true),
                (0, "ci", "a", Rtype::AAAA, true),
                (0, "ci", "a", Rtype::HTTPS, true),
                (1, "ci", "b", Rtype::A, true),
                (1, "ci", "b", Rtype::TXT, true),
                (2, "ci", "b", Rtype::MX, false),
                (2, "ci", "a", Rtype::A, true),
                (2, "ci", "b", Rtype::TXT, true),
            ],
        );
    }

    #[test]
    fn bytes_and_labels_are_bounded_and_each_agent_has_its_own() {
        let a = Rtype::A;
        check(
            Some(BUDGET),
            &[
                (0, "ci", "a.b.c", a, false),
                (0, "ci", "1234567.90", a, true),
                (1, "ci", "123", a, false),
                (1, "ci", "12", a, true),
                (1, "ci", "1", a, false),
                (1, "worker", "123", a, true),
                (61, "ci", "1234567890.2", a, true),
            ],
        );
        check(None, &[(0, "ci", "a.b.c", a, true), (0, "ci", "0123456789abcdef", a, true)]);
    }

    #[test]
    fn memory_is_bounded_by_the_budget_and_by_who_asked_lately() {
        let (purses, start) = (Purses::new(Some(BUDGET)), Instant::now());
        for number in 0..1000 {
            let key = (Arc::from(format!("{number}.allowed.test")), Rtype::A);
            let _ = purses.spend("ci", &key, "x", start);
            let _ = purses.spend(&format!("agent-{number}"), &key, "x", start);
        }
        {
            let agents = purses.agents.lock().unwrap();
            assert_eq!((agents.len(), agents["ci"].asked.len(), agents["ci"].known.len()), (1001, 3, 3));
        }
        let key = (Arc::from("x.allowed.test"), Rtype::A);
        purses.spend("late", &key, "x", start + WINDOW).unwrap();
        assert_eq!(purses.agents.lock().unwrap().len(), 1);
    }
}
