//! How often agents may ask, and how often it is looked who asks.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use outcall_schema::api::permissions::{CHECKS_MAX, WINDOW_SECS};

const WINDOW: Duration = Duration::from_secs(WINDOW_SECS);
/// Connections that one agent may have open: each is over within seconds, and a tool waits for its answer.
const OPEN_MAX: usize = 8;
/// How often it is looked in a window who a network namespace is: for all checks and check-ins that are answered, and half as
/// many again. To look asks the kernel for all links, which takes a millisecond where there are hundreds.
const VISITS_MAX: usize = 3 * CHECKS_MAX;
/// Network namespaces that are counted at a time. Whoever may make them, may make many: those that are no agents' make room.
const NAMESPACES_MAX: usize = 4096;

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics half way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// When something happened, as far back as a window.
#[derive(Debug, Default)]
struct Times(VecDeque<Instant>);

impl Times {
    /// Takes one more, up to so many in a window; says else how long until there is room.
    fn take(&mut self, most: usize, now: Instant) -> Result<(), Duration> {
        self.forget(now);
        match self.0.front() {
            Some(first) if self.0.len() >= most => Err((*first + WINDOW).saturating_duration_since(now)),
            _ => {
                self.0.push_back(now);
                Ok(())
            }
        }
    }

    fn forget(&mut self, now: Instant) {
        while self.0.front().is_some_and(|first| now.saturating_duration_since(*first) >= WINDOW) {
            self.0.pop_front();
        }
    }
}

/// How long to wait, in whole seconds, at least one (RFC 9110, section 10.2.3).
pub(super) fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// What is counted of an agent.
#[derive(Debug, Default)]
pub(super) struct Account {
    checks: Mutex<Times>,
    checkins: Mutex<Times>,
    open: AtomicUsize,
}

/// A connection of an agent's, until it is dropped.
#[derive(Debug)]
pub(super) struct Open(Arc<Account>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Account {
    /// One more connection; `None` when there are too many.
    pub(super) fn open(self: &Arc<Self>) -> Option<Open> {
        let taken = Open(Arc::clone(self));
        (self.open.fetch_add(1, Ordering::AcqRel) < OPEN_MAX).then_some(taken)
    }

    /// One more check.
    pub(super) fn check(&self, now: Instant) -> Result<(), Duration> {
        locked(&self.checks).take(CHECKS_MAX, now)
    }

    /// One more check-in: as many.
    pub(super) fn checkin(&self, now: Instant) -> Result<(), Duration> {
        locked(&self.checkins).take(CHECKS_MAX, now)
    }

    fn is_idle(&self, now: Instant) -> bool {
        let mut times = [&self.checks, &self.checkins].map(locked);
        times.iter_mut().for_each(|times| times.forget(now));
        times.iter().all(|times| times.0.is_empty()) && self.open.load(Ordering::Acquire) == 0
    }
}

/// The accounts of all agents, by the names of their instances.
#[derive(Debug, Default)]
pub(super) struct Accounts(Mutex<HashMap<String, Arc<Account>>>);

impl Accounts {
    /// That of an agent.
    pub(super) fn of(&self, name: &str, now: Instant) -> Arc<Account> {
        let mut all = locked(&self.0);
        if let Some(account) = all.get(name) {
            return Arc::clone(account);
        }
        // One that somebody holds has a connection in a moment.
        all.retain(|_, account| Arc::strong_count(account) > 1 || !account.is_idle(now));
        Arc::clone(all.entry(name.to_owned()).or_default())
    }
}

/// What is known of a network namespace that asks too often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TooOften {
    /// The agent, as rules see it, that it was when it was last looked; `None` where it was none.
    pub(super) agent: Option<Arc<str>>,
    /// How long until it is looked again.
    pub(super) wait: Duration,
}

/// How often network namespaces asked, by the kernel's numbers for them. What is known of one here can have it refused and never
/// answered.
#[derive(Debug, Default)]
pub(super) struct Visits(Mutex<HashMap<u64, Visit>>);

#[derive(Debug, Default)]
struct Visit {
    times: Times,
    agent: Option<Arc<str>>,
}

impl Visits {
    /// One more of this namespace.
    pub(super) fn visit(&self, namespace: u64, now: Instant) -> Result<(), TooOften> {
        let mut all = locked(&self.0);
        if all.len() >= NAMESPACES_MAX && !all.contains_key(&namespace) {
            all.retain(|_, visit| {
                visit.times.forget(now);
                !visit.times.0.is_empty()
            });
            if all.len() >= NAMESPACES_MAX {
                all.retain(|_, visit| visit.agent.is_some());
            }
            if all.len() >= NAMESPACES_MAX {
                return Err(TooOften { agent: None, wait: WINDOW });
            }
        }
        let visit = all.entry(namespace).or_default();
        visit.times.take(VISITS_MAX, now).map_err(|wait| TooOften { agent: visit.agent.clone(), wait })
    }

    /// Says which agent it was.
    pub(super) fn was(&self, namespace: u64, agent: Option<Arc<str>>) {
        if let Some(visit) = locked(&self.0).get_mut(&namespace) {
            visit.agent = agent;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_checks_so_often_in_any_ten_seconds_and_each_counts_by_itself() {
        let (accounts, begun) = (Accounts::default(), Instant::now());
        let account = accounts.of("a-1", begun);
        for at in 0..CHECKS_MAX {
            let now = begun + Duration::from_millis(u64::try_from(at).unwrap());
            assert_eq!(account.check(now), Ok(()), "{at}");
        }
        let late = begun + Duration::from_millis(4_500);
        assert_eq!(account.check(late), Err(Duration::from_millis(5_500)));
        assert_eq!(whole_seconds(Duration::from_millis(5_500)), 6);
        assert_eq!((account.checkin(late), accounts.of("a-2", late).check(late)), (Ok(()), Ok(())));
        // Those that were refused do not count, and the first is forgotten after its time, the others not yet.
        let later = begun + WINDOW;
        assert_eq!((account.check(later), account.check(later)), (Ok(()), Err(Duration::from_millis(1))));
        assert_eq!(whole_seconds(Duration::ZERO), 1);
    }

    #[test]
    fn so_many_connections_are_open_at_a_time() {
        let account = Accounts::default().of("a", Instant::now());
        let mut open: Vec<Open> = (0..OPEN_MAX).filter_map(|_| account.open()).collect();
        assert!(open.len() == OPEN_MAX && account.open().is_none() && account.open().is_none());
        open.pop();
        assert!(account.open().is_some());
    }

    #[test]
    fn accounts_are_forgotten_once_they_count_for_nothing() {
        let (accounts, begun) = (Accounts::default(), Instant::now());
        accounts.of("idle", begun);
        accounts.of("busy", begun).check(begun).unwrap();
        let open = accounts.of("open", begun).open();
        accounts.of("new", begun);
        let known = |accounts: &Accounts| {
            let mut names: Vec<String> = locked(&accounts.0).keys().cloned().collect();
            names.sort();
            names
        };
        assert_eq!(known(&accounts), ["busy", "new", "open"]);
        drop(open);
        accounts.of("last", begun + WINDOW);
        assert_eq!(known(&accounts), ["last"]);
    }

    #[test]
    fn what_a_namespace_was_has_it_refused_and_many_of_them_take_no_more_room() {
        let (visits, begun) = (Visits::default(), Instant::now());
        for _ in 0..VISITS_MAX {
            visits.visit(7, begun).unwrap();
        }
        assert_eq!(visits.visit(7, begun), Err(TooOften { agent: None, wait: WINDOW }));
        visits.was(7, Some("a".into()));
        assert_eq!(visits.visit(7, begun), Err(TooOften { agent: Some("a".into()), wait: WINDOW }));
        let many = u64::try_from(NAMESPACES_MAX).unwrap();
        for namespace in many..many * 3 {
            visits.visit(namespace, begun).unwrap();
            assert!(locked(&visits.0).len() <= NAMESPACES_MAX);
        }
        // Strangers made room for each other, and for nothing that is known of an agent.
        assert!(visits.visit(7, begun).is_err());
        for namespace in 100..100 + many {
            if visits.visit(namespace, begun).is_ok() {
                visits.was(namespace, Some("a".into()));
            }
        }
        assert_eq!(locked(&visits.0).len(), NAMESPACES_MAX);
        assert!(visits.visit(u64::MAX, begun).is_err());
        assert_eq!(visits.visit(u64::MAX, begun + WINDOW), Ok(()));
        assert_eq!(locked(&visits.0).len(), 1);
    }
}
