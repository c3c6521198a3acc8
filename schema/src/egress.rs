//! How an allowed request leaves the host.

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

impl Egress {
    /// Whether `port` is open under this rule.
    pub fn opens(&self, port: u16) -> bool {
        self.ports.is_empty() || self.ports.iter().any(|range| range.contains(port))
    }
}
