//! What is said of Docker: the engine, the network of agents, and the containers on it.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// What the network is called unless somebody says otherwise.
pub const NETWORK: &str = "outcall";

/// The memory that a container may use unless somebody says otherwise: 1 GiB, which most agents get by with.
pub const MEMORY_BYTES: u64 = 1 << 30;
/// The least memory that the engine takes.
pub const MEMORY_BYTES_MIN: u64 = 6 << 20;
/// The processes and threads that a container may have unless somebody says otherwise.
pub const PIDS: u32 = 512;

/// The capabilities that the engine gives containers by itself. No others can be added.
pub const CAPABILITIES: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// The engine, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Engine {
    /// Where it is asked; absent where `outcalld` was told to do without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<String>,
    /// Whether it answers, and containers that come are seen.
    pub connected: bool,
    /// Its version, once it has answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Why it does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What networks are made with: the answer of `GET network/config`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct NetworkConfig {
    /// The engine.
    pub engine: Engine,
    /// The bridge.
    pub bridge: String,
    /// The IPv4 network.
    pub subnet: String,
    /// Its gateway, where names are answered too.
    pub gateway: Ipv4Addr,
    /// The IPv6 network; absent where the kernel runs without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet6: Option<String>,
    /// Its gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway6: Option<Ipv6Addr>,
    /// What the proxy variables are set to.
    pub proxy_url: String,
}

/// A network of the engine's on our bridge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Network {
    /// What the engine calls it.
    pub name: String,
    /// The engine's number for it.
    pub id: String,
    /// The bridge.
    pub bridge: String,
    /// Its networks, in CIDR notation.
    pub subnets: Vec<String>,
    /// The containers on it, running or not.
    pub containers: usize,
}

/// The body of `POST network/create`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct NetworkCreate {
    /// What it is to be called.
    #[cfg_attr(feature = "openapi", schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")))]
    pub name: String,
}

/// The body of `POST network/destroy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct NetworkDestroy {
    /// What it is called.
    #[cfg_attr(feature = "openapi", schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")))]
    pub name: String,
    /// Whether containers that are on it are taken off it.
    #[serde(default)]
    pub force: bool,
}

/// A container on our network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Container {
    /// Its name.
    pub name: String,
    /// The engine's number for it.
    pub id: String,
    /// Its image, as it was asked for.
    pub image: String,
    /// What the engine says of it: `created`, `running`, `paused`, `exited`.
    pub state: String,
    /// Whether it is an agent that the kernel knows: only then does it reach anything.
    pub guarded: bool,
    /// Its name as rules see it; empty where it is no agent.
    pub agent: String,
    /// Its IPv4 address on our network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<Ipv4Addr>,
    /// Its IPv6 address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Ipv6Addr>,
    /// Its port of the bridge, where it is an agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
}

/// One container, all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ContainerDetail {
    /// What the list has.
    #[serde(flatten)]
    pub container: Container,
    /// Since when there is one, RFC 3339.
    pub created_at: String,
    /// The command, where it is not the image's.
    pub command: Vec<String>,
    /// The status that its command ended with, once it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
    /// The most memory that it may use, 0 without a bound.
    pub memory_bytes: u64,
    /// The most processes and threads that it may have; absent without a bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids: Option<i64>,
    /// What of the host it sees, `SOURCE:TARGET:ro`.
    pub mounts: Vec<String>,
    /// Why it may not be an agent, a sentence each.
    pub excess: Vec<String>,
}

fn memory() -> u64 {
    MEMORY_BYTES
}

fn pids() -> u32 {
    PIDS
}

/// The body of `POST container/create`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ContainerCreate {
    /// Its name, which is the agent's: `[A-Za-z0-9][A-Za-z0-9._-]{1,127}`. A `-N` at its end is left out of `agent.name`.
    #[cfg_attr(feature = "openapi", schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]{1,127}$")))]
    pub name: String,
    /// Its image, `debian:12`. It must be there already.
    pub image: String,
    /// What it runs in the place of the image's own command.
    #[serde(default)]
    pub command: Vec<String>,
    /// Variables of its environment, `NAME=VALUE`.
    #[serde(default)]
    pub env: Vec<String>,
    /// Directories and files of the host and volumes of the engine, `SOURCE:TARGET` or `SOURCE:TARGET:ro`.
    #[serde(default)]
    pub volumes: Vec<String>,
    /// Capabilities to add to none, `NET_BIND_SERVICE`.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// The user that it runs as, in the place of the image's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The directory that it begins in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// The most memory that it may use, swap included.
    #[serde(default = "memory")]
    pub memory_bytes: u64,
    /// The most processes and threads that it may have.
    #[serde(default = "pids")]
    pub pids: u32,
}

/// The body of `POST container/stop`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ContainerStop {
    /// Its name.
    #[cfg_attr(feature = "openapi", schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")))]
    pub name: String,
}

/// The body of `POST container/remove`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ContainerRemove {
    /// Its name.
    #[cfg_attr(feature = "openapi", schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")))]
    pub name: String,
    /// Whether it is killed where it runs.
    #[serde(default)]
    pub force: bool,
}

/// The body of `POST container/pull`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ContainerPull {
    /// The image, `debian:12`.
    pub image: String,
}

/// What was acted on, by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Named {
    /// The name of the container, network or image.
    pub name: String,
}

/// The end of what a container has said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ContainerLogs {
    /// Its name.
    pub name: String,
    /// What it said, to standard output and to standard error as it came. What is no UTF-8 is replaced.
    pub text: String,
}
