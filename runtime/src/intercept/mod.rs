//! Looks inside TLS where a policy asks for it: the authority that clients trust, the certificates it signs for hosts, and
//! the verification of the servers behind.
//!
//! Invariant: without an authority nothing of this runs and nothing is allocated.

use std::sync::Arc;

use outcall_schema::ca::CaError;
use outcall_schema::host::Host;

pub mod authority;
pub mod counters;
pub mod failures;
pub mod leaves;
pub(crate) mod paced;
pub mod pool;
pub mod room;
mod tickets;
pub mod trust;
mod truststore;
pub mod upstream;

pub use authority::{AuthorityError, Files};
pub use counters::{Counted, Counters};
pub use failures::Failures;
pub use leaves::{Leaf, LeafTtl, Leaves};
pub use pool::Pool;
pub use room::{Room, Rooms, StreamPlace};
pub use trust::Trust;
pub use upstream::Upstreams;

use crate::secrets::Secrets;
use crate::shares::Share;

/// Everything that intercepting a connection takes.
#[derive(Debug, Clone)]
pub struct Interception {
    leaves: Arc<Leaves>,
    counters: Arc<Counters>,
    /// The servers behind.
    pub upstreams: Upstreams,
    /// Connections to them that can be used again.
    pub pool: Pool,
    /// What each agent may hold in memory.
    pub rooms: Rooms,
    /// What could not be looked into lately.
    pub failures: Arc<Failures>,
    /// What enrich rules inject.
    pub secrets: Secrets,
}

impl Interception {
    /// With these leaves towards agents, and these servers behind.
    pub fn new(leaves: Leaves, upstreams: Upstreams) -> Interception {
        Interception {
            leaves: Arc::new(leaves),
            counters: Arc::default(),
            upstreams,
            pool: Pool::default(),
            rooms: Rooms::default(),
            failures: Arc::default(),
            secrets: Secrets::default(),
        }
    }

    /// With these secrets for enrich rules.
    #[must_use]
    pub fn with_secrets(self, secrets: Secrets) -> Interception {
        Interception { secrets, ..self }
    }

    /// The leaf for a host. Under an authority with RSA minting takes milliseconds, so it happens aside and is charged to `share`;
    /// one that is kept is there at once.
    ///
    /// # Errors
    /// As [`Leaves::leaf`].
    pub async fn leaf(&self, host: &Host, share: &Arc<Share>) -> Result<Arc<Leaf>, CaError> {
        if let Some(kept) = self.leaves.kept(host) {
            return Ok(kept);
        }
        let (leaves, host) = (Arc::clone(&self.leaves), host.clone());
        share.aside(move || leaves.leaf(&host)).await.unwrap_or(Err(CaError::Making))
    }

    /// What was seen today.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The certificates for hosts, and the authority that signs them.
    pub fn leaves(&self) -> &Leaves {
        &self.leaves
    }
}
