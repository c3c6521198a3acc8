//! How an allowed request leaves the host.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The way out that an allow rule opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EgressMode {
    /// Through the proxy, which tunnels TLS and reads plain HTTP. The default: nothing is seen that need not be.
    #[default]
    Proxy,
    /// Straight through the kernel, to the addresses that the name resolved to and to the rule's ports.
    DirectIp,
    /// Through the proxy, which terminates TLS and decides each request inside.
    Intercept,
}

impl EgressMode {
    /// Every mode.
    pub const ALL: [EgressMode; 3] = [EgressMode::Proxy, EgressMode::DirectIp, EgressMode::Intercept];

    /// The name in rule files.
    pub const fn name(self) -> &'static str {
        match self {
            EgressMode::Proxy => "proxy",
            EgressMode::DirectIp => "direct_ip",
            EgressMode::Intercept => "intercept",
        }
    }
}

/// An inclusive range of ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortRange {
    /// The lowest port.
    pub low: u16,
    /// The highest port, not below `low`.
    pub high: u16,
}

impl PortRange {
    /// Whether `port` lies in the range.
    pub const fn contains(self, port: u16) -> bool {
        self.low <= port && port <= self.high
    }
}

impl fmt::Display for PortRange {
    /// One port, or the lowest and the highest with a dash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.low == self.high {
            true => write!(f, "{}", self.low),
            false => write!(f, "{}-{}", self.low, self.high),
        }
    }
}

/// The `egress:` block of an allow rule with its defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Egress {
    /// The way out.
    pub mode: EgressMode,
    /// The ports the rule opens. Empty means any port for `proxy` and `intercept`, whose condition can test
    /// `network.port`; for `direct_ip` the compiler has filled in 80 and 443 where the rule named none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortRange>,
    /// Whether private and other special addresses may be reached. Off by default, see [`crate::addr`].
    #[serde(default)]
    pub allow_private_ips: bool,
    /// Whether the rule reads the request's body.
    #[serde(default)]
    pub match_body: bool,
}

impl fmt::Display for Egress {
    /// In words: `proxy, ports 80, 443, private addresses too`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ports: Vec<String> = self.ports.iter().map(ToString::to_string).collect();
        let ports = if ports.is_empty() { "any port".to_owned() } else { format!("ports {}", ports.join(", ")) };
        let private = if self.allow_private_ips { ", private addresses too" } else { "" };
        write!(f, "{}, {ports}{private}", self.mode.name())
    }
}

impl Egress {
    /// Whether `port` is open under this rule.
    pub fn opens(&self, port: u16) -> bool {
        self.ports.is_empty() || self.ports.iter().any(|range| range.contains(port))
    }
}
