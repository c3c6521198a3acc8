//! What is said of the bridge that agents are attached to.

use serde::{Deserialize, Serialize};

/// The answer of `GET bridge`, `POST bridge/up` and `POST bridge/down`: how it is now, or how it is afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Bridge {
    /// The interface's name.
    pub name: String,
    /// Whether the interface is there and up.
    pub up: bool,
    /// Its number in the kernel; absent where there is no such interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
    /// Whether all of our tables are in the kernel as they were loaded.
    pub nftables: bool,
    /// Its hardware address, in pairs of hexadecimal digits with colons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// The largest packet it carries, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// The addresses of the gateway on it, each with the length of its network: `10.200.0.1/24`.
    pub gateways: Vec<String>,
    /// How many agents are attached.
    pub agents: usize,
}
