//! What is said of the proxy.

use serde::{Deserialize, Serialize};

/// The answer of `GET proxy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ProxyStatus {
    /// Whether it accepts connections.
    pub running: bool,
    /// The first address and port that it listens on.
    pub listen_address: String,
    /// All of them.
    pub listening: Vec<String>,
    /// What clients are told, `http://10.200.0.1:8080`.
    pub proxy_url: String,
    /// Connections of agents that are open now.
    pub active_connections: u64,
    /// Connections and requests that were decided on, as the audit records count them.
    pub total_requests: u64,
    /// Those of them that were refused or failed.
    pub total_blocked: u64,
}
