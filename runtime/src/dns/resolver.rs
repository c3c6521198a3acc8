//! Resolution for the proxy: the same judgement, cache and upstreams as the filter's.

use std::net::IpAddr;

use outcall_schema::decision::RuleIndex;
use outcall_schema::reason::Reason;

use crate::snapshot::Snapshot;

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
    _private: (),
}

impl Resolver {
    /// The addresses of `name`, a canonical name, that the policy lets `agent` learn.
    ///
    /// Writes no audit record: the caller's refusal is the one.
    ///
    /// # Errors
    /// See [`ResolveError`].
    pub async fn resolve(&self, _snapshot: &Snapshot, _agent: &str, _name: &str) -> Result<Vec<IpAddr>, ResolveError> {
        Err(ResolveError::Failed)
    }
}
