//! Which connections could not be looked into lately, in bounded memory.
//!
//! A client that refuses our certificate has ended its connection by the time that is known. What is remembered is for the
//! next one it makes, and lets nothing pass by itself: whether that one may pass as a tunnel is judged anew.

use std::sync::{Arc, Weak};
use std::time::Duration;

use outcall_schema::host::Host;
use quick_cache::sync::Cache;
use tokio::time::Instant;

use crate::snapshot::Snapshot;

/// How long a failure is remembered. A client that gets to trust the authority is looked into again soon after; one that
/// never will fails once in this time.
const LASTING: Duration = Duration::from_secs(600);
/// How many failures are remembered. Each takes some 200 bytes; one that is forgotten early is found out again.
const MAX: usize = 1024;

type Place = (Arc<str>, Host, u16);

/// What failed, under which policy and until when that counts.
#[derive(Clone)]
struct Failure {
    cause: Arc<str>,
    policy: Weak<Snapshot>,
    until: Instant,
}

/// Failures by agent, host and port.
pub struct Failures {
    kept: Cache<Place, Failure>,
}

impl Default for Failures {
    fn default() -> Failures {
        Failures { kept: Cache::new(MAX) }
    }
}

impl std::fmt::Debug for Failures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Failures({})", self.kept.len())
    }
}

impl Failures {
    /// Remembers why a connection could not be looked into, for as long as this policy is in force and no longer than
    /// [`Failures::lasting`].
    pub fn remember(&self, agent: &Arc<str>, host: &Host, port: u16, policy: &Arc<Snapshot>, cause: &str) {
        let until = Instant::now() + LASTING;
        let failure = Failure { cause: cause.into(), policy: Arc::downgrade(policy), until };
        self.kept.insert((Arc::clone(agent), host.clone(), port), failure);
    }

    /// Why a connection to there could not be looked into, if that is remembered under this policy.
    pub fn recall(&self, agent: &Arc<str>, host: &Host, port: u16, policy: &Arc<Snapshot>) -> Option<Arc<str>> {
        let place = (Arc::clone(agent), host.clone(), port);
        let failure = self.kept.get(&place)?;
        // A `Weak` keeps its address from being used again, so that no other policy can be taken for this one.
        if failure.policy.as_ptr() == Arc::as_ptr(policy) && Instant::now() < failure.until {
            return Some(failure.cause);
        }
        self.kept.remove(&place);
        None
    }

    /// How long a failure is remembered.
    pub const fn lasting() -> Duration {
        LASTING
    }
}
