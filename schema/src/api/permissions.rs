//! What an agent asks on the agents' socket: who it is, and whether it may do something.
//!
//! Nothing that an agent says tells who it is; see the runtime's `api::agents`.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::agents::AgentKind;

/// Where `outcalld` answers agents and the shim asks, unless told otherwise; the same path on a host and in a container.
pub const AGENT_SOCKET: &str = "/run/outcall/agent.sock";

/// Where a container has the shim.
pub const SHIM: &str = "/usr/local/bin/outcall";

/// How often an agent may check in [`WINDOW_SECS`]: once in 100 ms, which is more than tools are started by one agent.
pub const CHECKS_MAX: usize = 100;

/// The seconds in which [`CHECKS_MAX`] are counted.
pub const WINDOW_SECS: u64 = 10;

/// The answer of `POST /v1/checkin`: the agent as the daemon sees it, and what it may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct CheckedIn {
    /// The name of its instance, `web-2`.
    pub name: String,
    /// Its name as rules see it, `web`.
    pub agent: String,
    /// What it is.
    pub kind: AgentKind,
    /// Its IPv4 address.
    pub ipv4: Option<Ipv4Addr>,
    /// Its IPv6 address; null where it has none.
    pub ipv6: Option<Ipv6Addr>,
    /// The digest of the policy in force.
    pub policy_digest: String,
    /// Where its names are answered, each with the port.
    pub dns: Vec<String>,
    /// What proxy variables are set to, `http://10.200.0.1:8080`.
    pub proxy_url: String,
}

macro_rules! actions {
    ($($variant:ident, $name:literal, $doc:literal;)*) => {
        /// What an agent wants to do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
        pub enum ActionType { $(#[doc = $doc] $variant,)* }

        impl ActionType {
            /// All of them.
            pub const ALL: &[ActionType] = &[$(ActionType::$variant,)*];

            /// The name in requests and in `run.context`.
            pub const fn name(self) -> &'static str {
                match self { $(ActionType::$variant => $name,)* }
            }
        }
    };
}

actions! {
    ToolExec, "tool_exec", "To use a tool; the target is its name.";
    NetworkCall, "network_call", "To reach something; the target is a URL, or a host with or without a port.";
    FileAccess, "file_access", "To open a file; the target is its path.";
    ShellExec, "shell_exec", "To run a program; the target is the program, or a command line of plain words.";
}

/// The body of `POST /v1/permissions/check`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Check {
    /// What the agent wants to do.
    pub action_type: ActionType,
    /// With what.
    #[cfg_attr(feature = "openapi", schemars(length(min = 1)))]
    pub target: String,
    /// What more there is to say. `args`, a list of strings, gives `run.args` and `run.flags`; `cwd` gives `run.cwd`; what
    /// else there is stands in `run.context`, where rules find `action_type` and `target` too.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
}

/// The answer of `POST /v1/permissions/check`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Checked {
    /// Whether the policy in force allows it.
    pub allowed: bool,
    /// The rule that decided, or `default`.
    pub matched_rule: String,
    /// The code of the reason.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_called_in_requests_what_they_are_called_in_rules() {
        for action in ActionType::ALL {
            assert_eq!(serde_json::to_value(action).unwrap(), action.name());
        }
    }
}
