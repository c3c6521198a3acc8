//! What the proxy needs from the rest, and its limits.

use std::time::Duration;

use super::revoke::Changes;
use crate::audit::Audit;
use crate::dial::Dialer;
use crate::direct::Direct;
use crate::dns::Resolver;
use crate::identity::Identity;
use crate::intercept::Interception;
use crate::shares::Shares;
use crate::snapshot::Policy;

/// How connections come to a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Clients know that they talk to a proxy: CONNECT and absolute targets.
    Explicit,
    /// The kernel redirected connections that were meant for others. One that was not redirected is dropped.
    Transparent,
    /// Both: redirected or not is what the kernel says of each connection, never what the agent sends.
    Either,
}

/// Everything the proxy asks and tells.
#[derive(Clone)]
pub struct Context {
    /// The policy in force. Each request and each tunnel takes it once.
    pub policy: Policy,
    /// Who is asking.
    pub identity: Identity,
    /// Where refusals are written.
    pub audit: Audit,
    /// Resolves the names that are dialled.
    pub resolver: Resolver,
    /// The way out.
    pub dialer: Dialer,
    /// Addresses that rules open as they are. Nothing fills it where the kernel sees to that.
    pub direct: Direct,
    /// What looking inside TLS takes; without it nothing that needs it passes.
    pub interception: Option<Interception>,
    /// Tells when what is open has to be judged again.
    pub changes: Changes,
    /// How agents share the workers; the same for all listeners of a runtime.
    pub shares: Shares,
    /// How much and how long.
    pub limits: Limits,
}

/// How much and how long. The defaults suit interactive agents and long downloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections of one agent at a time. 512: a browser opens some 200, a package manager 50.
    pub connections_per_agent: usize,
    /// Connections of all agents at a time; further ones wait to be accepted. 4096: two descriptors each stay within the
    /// usual limit of 8,192 and more.
    pub connections: usize,
    /// From the first byte of a request to the end of its head.
    pub head: Duration,
    /// From the answer to CONNECT, or the first byte, to the end of the ClientHello.
    pub hello: Duration,
    /// How long a redirected connection may be silent before it counts as one whose server speaks first.
    pub silence: Duration,
    /// How long a kept-alive connection waits for the next request.
    pub keep_alive: Duration,
    /// How long a body may stand still.
    pub body: Duration,
    /// How long the head of a response may take; long polling takes minutes.
    pub response: Duration,
    /// How long a tunnel may be silent both ways.
    pub tunnel: Duration,
    /// How long one address may take to connect.
    pub connect: Duration,
    /// How long connections may go on after shutdown was asked for. Half a minute: most requests and downloads end in it,
    /// and service managers wait longer (systemd 90 s, Kubernetes from 30 s on) before they kill.
    pub drain: Duration,
    /// The largest request body that is kept to be judged, in bytes as sent.
    pub body_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections_per_agent: 512,
            connections: 4096,
            head: Duration::from_secs(30),
            hello: Duration::from_secs(15),
            silence: Duration::from_millis(500),
            keep_alive: Duration::from_secs(90),
            body: Duration::from_secs(300),
            response: Duration::from_secs(600),
            tunnel: Duration::from_secs(3600),
            connect: Duration::from_secs(10),
            drain: Duration::from_secs(30),
            body_bytes: 1 << 20,
        }
    }
}
