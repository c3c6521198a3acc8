//! What is said of the agents on the bridge, and how one is attached.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// How an agent came to be on the bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub enum AgentKind {
    /// A network namespace, attached by `outcall netns attach`.
    Netns,
    /// A container.
    Container,
    /// The command of `outcall run`.
    Sandbox,
}

impl AgentKind {
    /// The name in answers.
    pub const fn name(self) -> &'static str {
        match self {
            AgentKind::Netns => "netns",
            AgentKind::Container => "container",
            AgentKind::Sandbox => "sandbox",
        }
    }
}

/// One agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Agent {
    /// The name of its instance, `web-2`.
    pub name: String,
    /// Its name as rules see it, `web`.
    pub agent: String,
    /// What it is.
    pub kind: AgentKind,
    /// Its port of the bridge; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// The one hardware address that may send on that port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// The one IPv4 address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<Ipv4Addr>,
    /// The one IPv6 address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Ipv6Addr>,
    /// Since when, RFC 3339 in UTC.
    pub attached_at: String,
}

/// An agent and what was decided for it, as in the answer of `GET agents`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct AgentRow {
    /// The agent.
    #[serde(flatten)]
    pub agent: Agent,
    /// Decisions that let something pass, over all instances of the agent.
    pub allowed: u64,
    /// Decisions that refused something, likewise.
    pub blocked: u64,
}

/// The body of `POST agents/attach`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Attach {
    /// The name of the instance: `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`. A `-N` at its end is left out of `agent.name`.
    #[cfg_attr(feature = "openapi", schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")))]
    pub name: String,
}

/// The answer: what to make in the agent's namespace and on the host. The addresses are the agent's from now on; nothing
/// passes before the port is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Attached {
    /// The name of the instance.
    pub name: String,
    /// Its name as rules see it.
    pub agent: String,
    /// The bridge to put the port on.
    pub bridge: String,
    /// The name of the port, the host's end of the pair: at most 15 bytes.
    pub port: String,
    /// The hardware address of the agent's end.
    pub mac: String,
    /// The agent's IPv4 address.
    pub ipv4: Ipv4Addr,
    /// The length of its network.
    pub ipv4_prefix: u8,
    /// The gateway.
    pub ipv4_gateway: Ipv4Addr,
    /// The agent's IPv6 address; absent where the bridge has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Ipv6Addr>,
    /// The length of its network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6_prefix: Option<u8>,
    /// The gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6_gateway: Option<Ipv6Addr>,
    /// The largest packet, in bytes.
    pub mtu: u32,
    /// The resolver to write into the agent's `resolv.conf`.
    pub resolver: Ipv4Addr,
    /// What the proxy variables are set to, `http://10.200.0.1:8080`.
    pub proxy_url: String,
}

/// The body of `POST agents/detach`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Detach {
    /// The name of the instance.
    #[cfg_attr(feature = "openapi", schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")))]
    pub name: String,
}

/// The answer: what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Detached {
    /// The name of the instance.
    pub name: String,
    /// What the operator should know, a sentence each: it reaches nothing any more, and that could not be remembered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}
