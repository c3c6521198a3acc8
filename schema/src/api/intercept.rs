//! What is said of looking inside TLS.

use serde::{Deserialize, Serialize};

/// The counters of one day in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Today {
    /// Requests inside TLS that were decided on.
    pub intercepted_today: u64,
    /// How many of them were refused or failed.
    pub blocked_today: u64,
}

/// The answer of `GET proxy/intercept`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct InterceptStatus {
    /// Whether there is an authority, so that TLS can be looked into.
    pub ca_loaded: bool,
    /// How many certificates for hosts are kept.
    pub leaf_cache_size: usize,
    /// How many are kept at most.
    pub leaf_cache_max: usize,
    /// What was seen today.
    #[serde(flatten)]
    pub today: Today,
}

/// The answer of `POST proxy/intercept/cache/flush`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Flushed {
    /// How many certificates were let go of.
    pub evicted: usize,
}
