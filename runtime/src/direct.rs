//! Which addresses an agent may talk to as it likes, because a name that it was told led there.
//!
//! On a host the kernel keeps this in the sets of `direct_ip` rules. A sandbox has no way out through the kernel; there the
//! proxy asks here. What is kept is the name and not the rule: each connection is judged by the policy in force.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use outcall_schema::decision::{NameVerdict, RuleIndex};
use outcall_schema::egress::{Egress, EgressMode};
use outcall_schema::facts::{Fact, Facts};

use crate::dial::Reach;
use crate::dns::{Clock, Told};
use crate::snapshot::Snapshot;

/// How long an address stays open at least. Resolvers hand out answers that are about to expire, or that do so at once;
/// 10 seconds let a client try one address after the other, and leave little time for an address to change hands.
pub const AT_LEAST: Duration = Duration::from_secs(10);

/// Most addresses that are kept, over all agents; further ones stay closed. About 10 MiB.
const ADDRESSES_MAX: usize = 65_536;
/// Most names that are kept for one address of an agent; further ones open nothing. A shared front rarely has more in use.
const NAMES_MAX: usize = 64;

/// The addresses that names led to. Cheap to clone; all clones share one table.
#[derive(Debug, Clone)]
pub struct Direct {
    table: Arc<Mutex<Table>>,
    clock: Clock,
}

/// By agent and address.
type Table = HashMap<(Arc<str>, IpAddr), Vec<Lead>>;

/// A name that leads to an address.
#[derive(Debug)]
struct Lead {
    name: Box<str>,
    record_type: Box<str>,
    /// When the agent was first told.
    since: Instant,
    until: Instant,
}

impl Lead {
    /// The rule that opens what the name leads to, with its terms, under this policy.
    fn judge<'a>(&self, snapshot: &'a Snapshot, agent: &str) -> Option<(RuleIndex, &'a Egress)> {
        let facts = Facts {
            agent_name: Fact::Known(agent),
            dns_query: Fact::Known(&self.name),
            dns_record_type: Fact::Known(&self.record_type),
            ..Facts::default()
        };
        direct_rule(snapshot, snapshot.dns.lookup(&facts))
    }
}

/// An address that a rule opens to an agent, for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leads {
    /// The agent.
    pub agent: Arc<str>,
    /// The address.
    pub address: IpAddr,
    /// The rule.
    pub rule: RuleIndex,
    /// For how long.
    pub remaining: Duration,
}

/// What lets an agent talk to an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The rule.
    pub rule: RuleIndex,
    /// The name that led there.
    pub name: String,
}

/// An address that is open to an agent since a name led there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// The agent, as rules see it.
    pub agent: Arc<str>,
    /// The address.
    pub address: IpAddr,
    /// The rule.
    pub rule: RuleIndex,
    /// The name.
    pub name: String,
    /// How long ago the agent was first told.
    pub age: Duration,
    /// For how long it is still open.
    pub remaining: Duration,
}

impl Default for Direct {
    fn default() -> Direct {
        Direct::with_clock(Clock::system())
    }
}

impl Direct {
    /// An empty table whose entries age by `clock`.
    pub fn with_clock(clock: Clock) -> Direct {
        Direct { table: Arc::default(), clock }
    }

    /// Keeps what an agent is about to be told, for as long as it may use it, where the rule that lets the name resolve
    /// is a `direct_ip` rule, and says whether it is one.
    pub fn keep(&self, told: &Told<'_>) -> bool {
        if direct_rule(told.snapshot, told.verdict).is_none() {
            return false;
        }
        let now = self.clock.now();
        let Some(until) = now.checked_add(told.ttl.max(AT_LEAST)) else { return true };
        let agent: Arc<str> = told.agent.into();
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        for address in told.addresses {
            let key = (Arc::clone(&agent), *address);
            if !table.contains_key(&key) && table.len() >= ADDRESSES_MAX {
                table.retain(|_, leads| leads.iter().any(|lead| lead.until > now));
                if table.len() >= ADDRESSES_MAX {
                    return true;
                }
            }
            let leads = table.entry(key).or_default();
            leads.retain(|lead| lead.until > now);
            let same = |lead: &Lead| *lead.name == *told.name && *lead.record_type == *told.record_type;
            let full = leads.len() >= NAMES_MAX;
            match leads.iter_mut().find(|lead| same(lead)) {
                // An older answer that lasts longer was true when it was given.
                Some(lead) => lead.until = lead.until.max(until),
                None if !full => {
                    let (name, record_type) = (told.name.into(), told.record_type.into());
                    leads.push(Lead { name, record_type, since: now, until });
                }
                None => {}
            }
        }
        true
    }

    /// What `wanted` agents may talk to now, by rule: each rule by which an address is open, for as long as the name leads
    /// there. Special addresses only where the rule opens them.
    pub fn leads(&self, snapshot: &Snapshot, wanted: impl Fn(&str, IpAddr) -> bool) -> Vec<Leads> {
        let now = self.clock.now();
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<Leads> = Vec::new();
        for ((agent, address), leads) in table.iter().filter(|((agent, address), _)| wanted(agent, *address)) {
            let begin = found.len();
            for (lead, remaining) in
                leads.iter().filter_map(|lead| Some((lead, lead.until.checked_duration_since(now)?)))
            {
                let Some((rule, egress)) = lead.judge(snapshot, agent) else { continue };
                if remaining.is_zero() || Reach::from_rule(egress.allow_private_ips).refuses(*address).is_some() {
                    continue;
                }
                match found.iter_mut().skip(begin).find(|it| it.rule == rule) {
                    Some(it) => it.remaining = it.remaining.max(remaining),
                    None => found.push(Leads { agent: Arc::clone(agent), address: *address, rule, remaining }),
                }
            }
        }
        found
    }

    /// Keeps what is open to an agent at an address open for `lifetime` from now, where that is longer: it is in use.
    pub fn renew(&self, agent: &Arc<str>, address: IpAddr, lifetime: Duration) {
        let now = self.clock.now();
        let Some(until) = now.checked_add(lifetime) else { return };
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let leads = table.get_mut(&(Arc::clone(agent), address)).into_iter().flatten();
        leads.filter(|lead| lead.until > now).for_each(|lead| lead.until = lead.until.max(until));
    }

    /// What is open now and by which name, in the order of agents, addresses and names.
    pub fn granted(&self, snapshot: &Snapshot) -> Vec<Granted> {
        let now = self.clock.now();
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let mut granted = Vec::new();
        for ((agent, address), leads) in table.iter() {
            for lead in leads.iter().filter(|lead| lead.until > now) {
                let Some((rule, egress)) = lead.judge(snapshot, agent) else { continue };
                if Reach::from_rule(egress.allow_private_ips).refuses(*address).is_none() {
                    granted.push(Granted {
                        agent: Arc::clone(agent),
                        address: *address,
                        rule,
                        name: lead.name.to_string(),
                        age: now.saturating_duration_since(lead.since),
                        remaining: lead.until.saturating_duration_since(now),
                    });
                }
            }
        }
        granted.sort_by(|one, other| {
            (&one.agent, one.address, &one.name).cmp(&(&other.agent, other.address, &other.name))
        });
        granted
    }

    /// Forgets what all agents were told.
    pub fn flush(&self) {
        self.table.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Forgets what an agent was told.
    pub fn forget(&self, agent: &str) {
        self.table.lock().unwrap_or_else(PoisonError::into_inner).retain(|(of, _), _| **of != *agent);
    }

    /// The first rule that opens `destination` to `agent` now, by a name that led there.
    pub fn opens(&self, snapshot: &Snapshot, agent: &Arc<str>, destination: SocketAddr) -> Option<Opened> {
        let now = self.clock.now();
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let leads = table.get(&(Arc::clone(agent), destination.ip()))?;
        let opened = leads.iter().filter(|lead| lead.until > now).filter_map(|lead| {
            let (rule, egress) = lead.judge(snapshot, agent)?;
            egress.opens(destination.port()).then(|| Opened { rule, name: lead.name.to_string() })
        });
        opened.min_by_key(|opened| opened.rule)
    }
}

/// The rule that decides that a name resolves, if it also opens the addresses. A name that only follows from rules on
/// requests opens nothing: those rules are for the proxy to ask.
fn direct_rule(snapshot: &Snapshot, verdict: NameVerdict) -> Option<(RuleIndex, &Egress)> {
    let NameVerdict::Allow(rule) = verdict else { return None };
    let egress = snapshot.egress(rule).filter(|egress| egress.mode == EgressMode::DirectIp)?;
    Some((rule, egress))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use outcall_compiler::{emit, resolve};
    use outcall_schema::artifact::dns_table::DnsTable;
    use outcall_schema::artifact::manifest::Manifest;
    use outcall_schema::artifact::match_program::MatchProgram;

    use super::*;

    const RULES: &str = r#"
version: "1"
rules:
  - id: git
    condition: dns.query == "git.example" && dns.record_type == "A"
    action: allow
    egress: { mode: direct_ip, ports: [22] }
  - id: games
    condition: hostMatches(dns.query, "*.games.example") && agent.name == "ci"
    action: allow
    egress: { mode: direct_ip, ports: ["27000-27100"] }
  - id: web
    condition: dns.query == "web.example" || http.host == "implied.example"
    action: allow
"#;

    struct World {
        snapshot: Snapshot,
        direct: Direct,
        seconds: Arc<AtomicU64>,
    }

    impl World {
        fn new(rules: &str) -> World {
            let (policy, findings) = resolve::from_texts(&[("test.yaml", rules)]);
            let (artifacts, _) = emit::artifacts(&policy);
            let artifacts = artifacts.unwrap_or_else(|| panic!("{findings:?}"));
            let snapshot = Snapshot {
                dns: DnsTable::from_bytes(artifacts.dns.into()).unwrap(),
                program: MatchProgram::from_bytes(artifacts.proxy.into()).unwrap(),
                manifest: Manifest::from_bytes(&artifacts.manifest).unwrap(),
                nft: artifacts.nft,
            };
            let seconds = Arc::new(AtomicU64::new(0));
            let (start, shown) = (Instant::now(), Arc::clone(&seconds));
            let clock = Clock::reading(move || start + Duration::from_secs(shown.load(Ordering::Relaxed)));
            World { snapshot, direct: Direct::with_clock(clock), seconds }
        }

        fn tell(&self, agent: &str, name: &str, record_type: &str, address: &str, ttl: u64) {
            let facts = Facts {
                agent_name: Fact::Known(agent),
                dns_query: Fact::Known(name),
                dns_record_type: Fact::Known(record_type),
                ..Facts::default()
            };
            let verdict = self.snapshot.dns.lookup(&facts);
            let addresses = [address.parse().unwrap()];
            let ttl = Duration::from_secs(ttl);
            let snapshot = &self.snapshot;
            self.direct.keep(&Told { snapshot, agent, name, record_type, verdict, addresses: &addresses, ttl });
        }

        /// The rule and the name that open `destination` after so many seconds.
        #[track_caller]
        fn check(&self, after: u64, agent: &str, destination: &str, expected: Option<(&str, &str)>) {
            self.seconds.store(after, Ordering::Relaxed);
            let opened = self.direct.opens(&self.snapshot, &agent.into(), destination.parse().unwrap());
            let opened = opened.map(|it| (self.snapshot.rule_name(Some(it.rule)).to_owned(), it.name));
            let opened = opened.as_ref().map(|(rule, name)| (rule.as_str(), name.as_str()));
            assert_eq!(opened, expected, "{agent} {destination} after {after} s");
        }
    }

    #[test]
    fn an_address_is_open_to_the_agent_that_was_told_it_at_the_ports_of_the_rule_while_the_answer_lives() {
        let world = World::new(RULES);
        world.tell("ci", "git.example", "A", "192.88.0.1", 60);
        world.tell("ci", "a.games.example", "AAAA", "2606::7", 60);
        for (after, agent, destination, expected) in [
            (0, "ci", "192.88.0.1:22", Some(("git", "git.example"))),
            (59, "ci", "192.88.0.1:22", Some(("git", "git.example"))),
            (60, "ci", "192.88.0.1:22", None),
            (0, "ci", "192.88.0.1:23", None),
            (0, "ci", "192.88.0.2:22", None),
            (0, "ci", "[::ffff:192.88.0.1]:22", None),
            (0, "other", "192.88.0.1:22", None),
            (0, "ci", "[2606::7]:27000", Some(("games", "a.games.example"))),
            (0, "ci", "[2606::7]:27100", Some(("games", "a.games.example"))),
            (0, "ci", "[2606::7]:27101", None),
            (0, "ci", "[2606::7]:22", None),
        ] {
            world.check(after, agent, destination, expected);
        }
    }

    #[test]
    fn what_expires_at_once_stays_for_a_moment_and_an_answer_that_comes_again_renews_it() {
        let world = World::new(RULES);
        world.tell("ci", "git.example", "A", "192.88.0.1", 0);
        world.check(9, "ci", "192.88.0.1:22", Some(("git", "git.example")));
        world.check(10, "ci", "192.88.0.1:22", None);
        world.tell("ci", "git.example", "A", "192.88.0.1", 0);
        world.check(19, "ci", "192.88.0.1:22", Some(("git", "git.example")));
        world.check(20, "ci", "192.88.0.1:22", None);
    }

    #[test]
    fn what_is_open_is_listed_by_name_until_it_is_flushed() {
        let world = World::new(RULES);
        world.tell("ci", "git.example", "A", "192.88.0.1", 60);
        world.tell("ci", "a.games.example", "A", "192.88.0.1", 30);
        world.tell("ci", "web.example", "A", "192.88.0.2", 60);
        world.seconds.store(10, Ordering::Relaxed);
        world.tell("ci", "git.example", "A", "192.88.0.1", 60);
        let listed = || {
            let row = |it: Granted| (it.name, it.age.as_secs(), it.remaining.as_secs());
            world.direct.granted(&world.snapshot).into_iter().map(row).collect::<Vec<_>>()
        };
        assert_eq!(listed(), [("a.games.example".to_owned(), 10, 20), ("git.example".to_owned(), 10, 60)]);
        world.seconds.store(30, Ordering::Relaxed);
        assert_eq!(listed(), [("git.example".to_owned(), 30, 40)]);
        world.direct.flush();
        assert_eq!(listed(), []);
        world.check(30, "ci", "192.88.0.1:22", None);
    }

    #[test]
    fn names_that_other_rules_let_resolve_open_nothing() {
        let world = World::new(RULES);
        for (agent, name, record_type) in [
            ("ci", "web.example", "A"),
            ("ci", "implied.example", "A"),
            ("ci", "unknown.example", "A"),
            ("ci", "git.example", "AAAA"),
            ("other", "a.games.example", "A"),
        ] {
            world.tell(agent, name, record_type, "192.88.0.1", 60);
            for port in [22, 80, 443, 27000] {
                world.check(0, agent, &format!("192.88.0.1:{port}"), None);
            }
        }
    }

    #[test]
    fn a_policy_that_no_longer_opens_a_name_closes_it_at_once() {
        let mut world = World::new(RULES);
        world.tell("ci", "git.example", "A", "192.88.0.1", 60);
        world.snapshot = World::new(&RULES.replace("ports: [22]", "ports: [2222]")).snapshot;
        world.check(0, "ci", "192.88.0.1:22", None);
        world.check(0, "ci", "192.88.0.1:2222", Some(("git", "git.example")));
        world.snapshot = World::new("version: \"1\"\nrules: []\n").snapshot;
        world.check(0, "ci", "192.88.0.1:2222", None);
    }

    #[test]
    fn of_two_names_at_one_address_the_first_rule_that_opens_the_port_counts() {
        let world = World::new(&RULES.replace("27000-27100", "1-65535"));
        world.tell("ci", "a.games.example", "A", "192.88.0.1", 60);
        world.tell("ci", "git.example", "A", "192.88.0.1", 30);
        world.check(0, "ci", "192.88.0.1:22", Some(("git", "git.example")));
        world.check(0, "ci", "192.88.0.1:23", Some(("games", "a.games.example")));
        world.check(45, "ci", "192.88.0.1:22", Some(("games", "a.games.example")));
    }

    #[test]
    fn memory_is_bounded_and_expired_entries_make_room() {
        let world = World::new(RULES);
        for number in 0..200 {
            world.tell("ci", &format!("n{number}.games.example"), "A", "192.88.0.1", 60);
        }
        let table = world.direct.table.lock().unwrap();
        assert_eq!(table.values().map(Vec::len).collect::<Vec<_>>(), [NAMES_MAX]);
        drop(table);
        let addresses: Vec<IpAddr> = (0..=u32::try_from(ADDRESSES_MAX).unwrap())
            .map(|n| IpAddr::from((0x2000_0000 + n).to_be_bytes()))
            .collect();
        let verdict = NameVerdict::Allow(RuleIndex(0));
        let (snapshot, ttl) = (&world.snapshot, Duration::from_secs(60));
        let told =
            Told { snapshot, agent: "ci", name: "git.example", record_type: "A", verdict, addresses: &addresses, ttl };
        world.direct.keep(&told);
        assert_eq!(world.direct.table.lock().unwrap().len(), ADDRESSES_MAX);
        world.check(0, "ci", "32.0.0.0:22", Some(("git", "git.example")));
        world.check(0, "ci", "32.1.0.0:22", None);
        world.seconds.store(60, Ordering::Relaxed);
        world.tell("ci", "git.example", "A", "32.1.0.0", 60);
        world.check(60, "ci", "32.1.0.0:22", Some(("git", "git.example")));
        assert_eq!(world.direct.table.lock().unwrap().len(), 1);
    }
}
