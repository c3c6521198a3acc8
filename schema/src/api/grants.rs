//! What is said of addresses that are open because a name led there.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// One row in the answer of `GET rules/active`: an address and ports that the kernel lets an agent talk to as it likes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Grant {
    /// The name of the agent's instance.
    pub name: String,
    /// Its name as rules see it.
    pub agent: String,
    /// The agent's address.
    pub src_ip: IpAddr,
    /// The address that is open to it.
    pub destination: IpAddr,
    /// Which protocols: `any` that has ports, as rules do not tell them apart.
    pub protocol: String,
    /// The open port, or the lowest and the highest with a dash.
    pub port: String,
    /// The rule that opens it.
    pub rule: String,
    /// The name that led there.
    pub host: String,
    /// When the agent was first told the address for this name, RFC 3339 in UTC.
    pub inserted_at: String,
    /// In how many seconds it closes, unless it is in use or the name is asked for again.
    pub expires_in_secs: u64,
}

/// The answer of `POST rules/flush`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct GrantsFlushed {
    /// How many rows `GET rules/active` had.
    pub flushed: usize,
    /// How many open connections were cut that nothing allows any more.
    pub connections_cut: usize,
}
