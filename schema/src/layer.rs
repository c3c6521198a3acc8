//! The questions that are asked of a policy, and at which points of a request's life they can be asked.

use serde::{Deserialize, Serialize};

/// The group of the kernel's log (nfnetlink_log) that compiled rulesets send refused packets to: `oc` in ASCII, as other
/// programs on a host use the first few numbers.
pub const KERNEL_LOG_GROUP: u16 = 0x6f63;

/// How many refusals of one kind the kernel tells a second, and at once after a quiet time.
pub const KERNEL_LOG_RATE: u16 = 200;

/// A place where the policy is asked, each knowing a different part of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Layer {
    /// The DNS filter got a query.
    Dns = 0,
    /// A packet, or a raw TCP connection, needs a verdict.
    Network = 1,
    /// A CONNECT request or a transparent TLS connection.
    Connect = 2,
    /// A plain-text HTTP request.
    Http = 3,
    /// A request inside a terminated TLS connection.
    Https = 4,
    /// A response's head on its way back; obligations only.
    Response = 5,
    /// A container is created or an image pulled.
    Docker = 6,
    /// The agent's shim asks for permission.
    Run = 7,
}

impl Layer {
    /// Every layer, in the order of its number in the artifacts.
    pub const ALL: [Layer; 8] = [
        Layer::Dns,
        Layer::Network,
        Layer::Connect,
        Layer::Http,
        Layer::Https,
        Layer::Response,
        Layer::Docker,
        Layer::Run,
    ];

    /// The name used in rule files, logs and artifacts.
    pub const fn name(self) -> &'static str {
        match self {
            Layer::Dns => "dns",
            Layer::Network => "network",
            Layer::Connect => "connect",
            Layer::Http => "http",
            Layer::Https => "https",
            Layer::Response => "response",
            Layer::Docker => "docker",
            Layer::Run => "run",
        }
    }

    /// The layer with this name.
    pub fn from_name(name: &str) -> Option<Layer> {
        Layer::ALL.into_iter().find(|layer| layer.name() == name)
    }
}

impl std::fmt::Display for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// When a field becomes known within its layer. A field of a later stage may still be pending while all fields of the
/// earlier stages are known, never the reverse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Stage {
    /// Known when the question is first asked.
    Head = 0,
    /// Known once the TLS ClientHello has been read.
    Hello = 1,
    /// Known once the name has been resolved and one address chosen.
    Address = 2,
    /// Known once the body has been read, or given up on.
    Body = 3,
}
