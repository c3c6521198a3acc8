//! What is said of the process itself.

use serde::{Deserialize, Serialize};

/// The answer of `GET health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Health {
    /// The version.
    pub version: String,
    /// The process.
    pub pid: u32,
    /// Since when it serves, RFC 3339 in UTC.
    pub started_at: String,
    /// For how long.
    pub uptime_secs: u64,
    /// The digest of the policy in force.
    pub policy_digest: String,
    /// How many rules it has.
    pub rules: usize,
}

/// The answer of `GET ready`, with status 200 where it is and 503 where it is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Ready {
    /// Whether agents are guarded and served.
    pub ready: bool,
    /// What stands in the way, a sentence each.
    pub waiting_for: Vec<String>,
}
