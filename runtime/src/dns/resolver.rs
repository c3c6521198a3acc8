//! Resolution behind the judgement: one cache, one question upstream at a time for each name and type.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::base::iana::Rtype;
use outcall_schema::api::dns::{CacheEntry, CacheStatus};
use outcall_schema::decision::RuleIndex;
use outcall_schema::host::Host;
use outcall_schema::reason::Reason;
use rustls::RootCertStore;
use tokio::sync::{Semaphore, watch};

use super::answer::Answer;
use super::budget::{Budget, Purses, Spent};
use super::cache::{Cache, Key};
use super::clock::Clock;
use super::judge::{Judgement, judge};
use super::message::{type_name, wire};
use super::server::Server;
use super::upstream::{Failure, Upstreams};
use crate::dial::{Dialer, Reach};
use crate::snapshot::Snapshot;

/// Questions that may be on their way at once. Each holds a socket and a buffer of 64 KiB.
const FLIGHTS_MAX: usize = 256;

/// Why a name gave no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The policy does not let the name resolve; nothing left the host.
    #[error("the policy does not let the name resolve")]
    Refused {
        /// The rule that refuses it; `None` for the default.
        rule: Option<RuleIndex>,
        /// Why.
        reason: Reason,
    },
    /// The name has addresses, all of them special, and the rule does not say `allow_private_ips`.
    #[error("the name has private addresses only")]
    Private {
        /// The rule that lets the name resolve.
        rule: RuleIndex,
    },
    /// The name does not exist or has no address.
    #[error("the name has no address")]
    NotFound,
    /// No upstream gave a usable answer.
    #[error("no resolver gave an answer")]
    Failed,
}

impl ResolveError {
    /// The reason code for the caller's audit record.
    pub fn reason(self) -> Reason {
        match self {
            ResolveError::Refused { reason, .. } => reason,
            ResolveError::Private { .. } => Reason::PrivateAddress,
            ResolveError::NotFound | ResolveError::Failed => Reason::ResolutionFailed,
        }
    }
}

/// Resolves names. Cheap to clone; all clones share one cache.
#[derive(Debug, Clone)]
pub struct Resolver {
    shared: Arc<Shared>,
    purses: Arc<Purses>,
}

#[derive(Debug)]
struct Shared {
    upstreams: Upstreams,
    cache: Cache,
    clock: Clock,
    flights: Mutex<HashMap<Key, Flight>>,
    slots: Arc<Semaphore>,
}

/// What a question on its way will come to; `None` until then.
type Flight = watch::Receiver<Option<Result<Arc<Answer>, Failure>>>;

impl Resolver {
    /// A resolver that asks these upstreams in this order. Their addresses are the operator's choice and may be private.
    pub fn new(upstreams: Vec<SocketAddr>, dialer: Dialer) -> Resolver {
        Resolver::with_clock(upstreams, dialer, Clock::system())
    }

    /// One that asks these, of which those over TLS must have certificates that `roots` vouch for.
    ///
    /// # Errors
    /// What rustls says of the roots.
    pub fn of_servers(servers: Vec<Server>, roots: RootCertStore, dialer: Dialer) -> Result<Resolver, rustls::Error> {
        Ok(Resolver::over(Upstreams::of_servers(servers, roots, dialer)?, Clock::system()))
    }

    /// As [`Resolver::new`], with answers that age by `clock`.
    pub fn with_clock(upstreams: Vec<SocketAddr>, dialer: Dialer, clock: Clock) -> Resolver {
        Resolver::over(Upstreams::new(upstreams, dialer), clock)
    }

    fn over(upstreams: Upstreams, clock: Clock) -> Resolver {
        Resolver {
            shared: Arc::new(Shared {
                upstreams,
                cache: Cache::new(),
                clock,
                flights: Mutex::default(),
                slots: Arc::new(Semaphore::new(FLIGHTS_MAX)),
            }),
            purses: Arc::new(Purses::new(Some(Budget::DEFAULT))),
        }
    }

    /// With another budget for what agents ask than the default one, or with none.
    #[must_use]
    pub fn with_budget(self, budget: Option<Budget>) -> Resolver {
        Resolver { purses: Arc::new(Purses::new(budget)), ..self }
    }

    /// The addresses of `name`, a canonical name, that the policy lets `agent` learn: IPv4 first, each once.
    ///
    /// Writes no audit record: the caller's refusal is the one.
    ///
    /// # Errors
    /// See [`ResolveError`].
    pub async fn resolve(&self, snapshot: &Snapshot, agent: &str, name: &str) -> Result<Vec<IpAddr>, ResolveError> {
        if Host::parse(name) != Ok(Host::Name(name.to_owned())) {
            return Err(ResolveError::Refused { rule: None, reason: Reason::AmbiguousRequest });
        }
        let of_type = |rtype| self.addresses(snapshot, agent, name, rtype);
        match tokio::join!(of_type(Rtype::A), of_type(Rtype::AAAA)) {
            (Ok(mut v4), Ok(v6)) => {
                v4.extend(v6);
                Ok(v4)
            }
            (Ok(addresses), Err(_)) | (Err(_), Ok(addresses)) => Ok(addresses),
            (Err(one), Err(other)) => Err(more_telling(one, other)),
        }
    }

    /// The visible addresses of one type, at least one.
    async fn addresses(
        &self,
        snapshot: &Snapshot,
        agent: &str,
        name: &str,
        rtype: Rtype,
    ) -> Result<Vec<IpAddr>, ResolveError> {
        let allowed = match judge(snapshot, agent, name, rtype) {
            Judgement::Resolve(allowed) => allowed,
            Judgement::Refuse(refusal) | Judgement::NoSuchType(refusal) | Judgement::NoRecord(refusal) => {
                return Err(ResolveError::Refused { rule: refusal.rule, reason: refusal.reason });
            }
        };
        let key = (name.into(), rtype);
        let refused = |Spent| ResolveError::Refused { rule: Some(allowed.rule), reason: Reason::DnsBudgetSpent };
        if self.kept(&key).is_none() {
            self.charge(snapshot, agent, &key).map_err(refused)?;
        }
        let answer = self.fetch(&key).await.map_err(|_| ResolveError::Failed)?;
        let visible = answer.visible(allowed.reach);
        let mut addresses = visible.addresses;
        let mut known = std::collections::HashSet::new();
        addresses.retain(|address| known.insert(*address));
        match addresses.is_empty() {
            false => Ok(addresses),
            true if visible.held_back => Err(ResolveError::Private { rule: allowed.rule }),
            true => Err(ResolveError::NotFound),
        }
    }

    /// The resolvers that are asked, in the operator's order.
    pub fn upstreams(&self) -> Vec<String> {
        self.shared.upstreams.names()
    }

    /// How the cache stands.
    pub fn cache(&self) -> CacheStatus {
        self.shared.cache.status()
    }

    /// What is kept, by name and type.
    pub fn cached_answers(&self) -> Vec<CacheEntry> {
        let now = self.shared.clock.now();
        let entry = |((name, rtype), answer): (Key, Arc<Answer>)| CacheEntry {
            name: name.to_string(),
            record_type: type_name(rtype),
            code: answer.rcode.to_string(),
            addresses: answer.visible(Reach::PrivateToo).addresses.iter().map(ToString::to_string).collect(),
            expires_in_secs: answer.ttl.saturating_sub(answer.age(now)).as_secs(),
        };
        let mut entries: Vec<CacheEntry> = self.shared.cache.entries().map(entry).collect();
        entries.sort_unstable();
        entries
    }

    /// Lets go of all answers that are kept; says how many there were.
    pub fn flush_cache(&self) -> usize {
        self.shared.cache.clear()
    }

    /// An answer from the cache that could be used, without using it.
    pub(super) fn kept(&self, key: &Key) -> Option<Arc<Answer>> {
        self.shared.cache.peek(key, self.shared.clock.now())
    }

    /// A fresh answer from the cache.
    pub(super) fn cached(&self, key: &Key) -> Option<Arc<Answer>> {
        self.shared.cache.fresh(key, self.shared.clock.now())
    }

    /// Charges an agent for a question that was judged and has to leave the host, as its answer is not in the cache: for a
    /// name that the rules do not write out, once in a while.
    pub(super) fn charge(&self, snapshot: &Snapshot, agent: &str, key: &Key) -> Result<(), Spent> {
        let unwritten = snapshot.dns.unwritten(&key.0);
        if unwritten.is_empty() {
            return Ok(());
        }
        self.purses.spend(agent, key, unwritten, self.shared.clock.now())
    }

    /// How long ago an answer was received.
    pub(super) fn age(&self, answer: &Answer) -> Duration {
        answer.age(self.shared.clock.now())
    }

    /// The answer to a question that was judged: from the cache, else from an upstream. Whoever asks while the same
    /// question is on its way waits for that answer.
    pub(super) async fn fetch(&self, key: &Key) -> Result<Arc<Answer>, Failure> {
        if let Some(answer) = self.cached(key) {
            return Ok(answer);
        }
        let mut flight = self.flight(key)?;
        let landed = flight.wait_for(Option::is_some).await;
        // The sender goes away without an answer only when its task was stopped.
        landed.ok().and_then(|outcome| outcome.clone()).unwrap_or(Err(Failure::Unavailable))
    }

    /// Joins the question on its way, or sends it. It goes on when whoever asked first goes away.
    fn flight(&self, key: &Key) -> Result<Flight, Failure> {
        let mut flights = self.shared.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(key) {
            return Ok(flight.clone());
        }
        let slot = Arc::clone(&self.shared.slots).try_acquire_owned().map_err(|_| Failure::Unavailable)?;
        let name = wire(&key.0).ok_or(Failure::Malformed)?;
        let (land, flight) = watch::channel(None);
        flights.insert(key.clone(), flight.clone());
        let landing = Landing { shared: Arc::clone(&self.shared), key: key.clone() };
        tokio::spawn(async move {
            let outcome = landing.shared.upstreams.ask(&name, landing.key.1, &landing.shared.clock).await.map(Arc::new);
            if let Ok(answer) = &outcome {
                landing.shared.cache.keep(landing.key.clone(), Arc::clone(answer));
            }
            drop(landing);
            drop(slot);
            // Nobody may be waiting any more.
            let _ = land.send(Some(outcome));
        });
        Ok(flight)
    }
}

/// Takes a question off the list of those on their way, however its task ends.
struct Landing {
    shared: Arc<Shared>,
    key: Key,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.shared.flights.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

/// Of two reasons for having no address, the one that says more.
fn more_telling(one: ResolveError, other: ResolveError) -> ResolveError {
    let rank = |error: &ResolveError| match error {
        ResolveError::Private { .. } => 0,
        ResolveError::Failed => 1,
        ResolveError::NotFound => 2,
        ResolveError::Refused { .. } => 3,
    };
    if rank(&other) < rank(&one) { other } else { one }
}
