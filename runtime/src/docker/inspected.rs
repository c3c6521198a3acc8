//! What the engine says of containers and networks, as far as it matters here.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Deserializer};

use crate::kernel::link::{Mac, mac_from};

/// A container. What decides whether it may be an agent has to be there: an engine that leaves it out is not understood.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Inspected {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) created: String,
    pub(super) config: Config,
    pub(super) state: State,
    pub(super) host_config: HostConfig,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) mounts: Vec<Mount>,
    pub(super) network_settings: NetworkSettings,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Config {
    pub(super) image: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) cmd: Vec<String>,
    #[serde(default)]
    pub(super) tty: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct State {
    pub(super) status: String,
    pub(super) running: bool,
    pub(super) pid: u32,
    #[serde(default)]
    pub(super) exit_code: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HostConfig {
    pub(super) privileged: bool,
    pub(super) network_mode: String,
    pub(super) pid_mode: String,
    pub(super) ipc_mode: String,
    #[serde(rename = "UTSMode")]
    pub(super) uts_mode: String,
    pub(super) userns_mode: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) cap_add: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) security_opt: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) devices: Vec<serde_json::Value>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) device_requests: Vec<serde_json::Value>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) device_cgroup_rules: Vec<String>,
    #[serde(default)]
    pub(super) masked_paths: Option<Vec<String>>,
    #[serde(default)]
    pub(super) readonly_paths: Option<Vec<String>>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) dns: Vec<String>,
    #[serde(default)]
    pub(super) memory: u64,
    #[serde(default)]
    pub(super) pids_limit: Option<i64>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Mount {
    #[serde(rename = "Type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) source: String,
    #[serde(default)]
    pub(super) destination: String,
    #[serde(rename = "RW", default)]
    pub(super) writable: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NetworkSettings {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) networks: BTreeMap<String, Endpoint>,
}

/// Where a container is on a network.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Endpoint {
    #[serde(rename = "IPAMConfig", default, deserialize_with = "or_default")]
    wanted: Wanted,
    #[serde(rename = "IPAddress", default)]
    ip_address: String,
    #[serde(rename = "GlobalIPv6Address", default)]
    ipv6_address: String,
    #[serde(default)]
    mac_address: String,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
struct Wanted {
    #[serde(rename = "IPv4Address", default)]
    v4: String,
}

impl Endpoint {
    /// Its IPv4 address; of one that does not run the address that it will have, where that is known.
    pub(super) fn v4(&self) -> Option<Ipv4Addr> {
        self.ip_address.parse().ok().or_else(|| self.wanted.v4.parse().ok())
    }

    pub(super) fn v6(&self) -> Option<Ipv6Addr> {
        self.ipv6_address.parse().ok()
    }

    pub(super) fn mac(&self) -> Option<Mac> {
        mac_from(&self.mac_address)
    }
}

impl Inspected {
    /// The name without the slash that the engine begins it with.
    pub(super) fn plain_name(&self) -> &str {
        self.name.trim_start_matches('/')
    }
}

/// A row of the list of containers.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    pub(super) id: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) names: Vec<String>,
    pub(super) image: String,
    pub(super) state: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) host_config: ListedHost,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) network_settings: NetworkSettings,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListedHost {
    #[serde(default)]
    pub(super) network_mode: String,
}

impl Listed {
    pub(super) fn name(&self) -> &str {
        // Links are further names with a second slash.
        let mut plain = self.names.iter().map(|name| name.trim_start_matches('/')).filter(|name| !name.contains('/'));
        plain.next().unwrap_or_default()
    }
}

/// A network.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Net {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) options: BTreeMap<String, String>,
    #[serde(rename = "IPAM", default, deserialize_with = "or_default")]
    pub(super) ipam: Ipam,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Ipam {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) config: Vec<Pool>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Pool {
    #[serde(default)]
    pub(super) subnet: String,
}

/// A volume.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Volume {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) options: BTreeMap<String, String>,
}

/// The engine's version.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Version {
    pub(super) version: String,
    pub(super) api_version: String,
}

/// About the engine.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Info {
    #[serde(default)]
    pub(super) docker_root_dir: String,
}

/// The engine writes `null` for many an empty list.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
