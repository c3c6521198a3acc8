//! Runs one command in a network of its own, where every packet, name and request is decided by a policy.
//!
//! Four processes, each with a part:
//!
//! - the *front* is the one the caller started. It keeps the terminal and the caller's process group, passes signals on and
//!   ends as the command ended.
//! - the *supervisor* stays in the host's network, in a session of its own where the agent cannot signal it. It loads the
//!   policy, answers names, proxies, writes the log.
//! - the *inside* is process 1 of the new user, network, mount, process and IPC namespaces. It sets them up, hands the
//!   listening sockets to the supervisor and reaps.
//! - the *agent* is the command, in a further user namespace and without a capability, so that it has no say over the
//!   network namespace it lives in.
//!
//! When the supervisor dies, the kernel kills process 1 and with it everything inside; until then the ruleset, which is the
//! kernel's, refuses whatever is not redirected to a listener.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::dns::Budget;
use crate::intercept::{Files, LeafTtl};
use crate::secrets::Sources;

mod agent;
mod control;
mod error;
mod front;
mod handed;
mod inside;
mod intercepting;
mod maps;
mod mounts;
mod ruleset;
mod summary;
mod supervisor;

pub use error::SandboxError;
pub use front::run;

/// What to run and by which policy.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory with the compiled policy.
    pub artifacts: PathBuf,
    /// Whether that directory is ours to remove once it is loaded.
    pub remove_artifacts: bool,
    /// Files with the public keys that policies are accepted from; with none they need no signature.
    pub trust_keys: Vec<PathBuf>,
    /// The agent's name, as rules see it.
    pub name: String,
    /// Where audit records go; nowhere when absent, as the summary needs only counts.
    pub log: Option<PathBuf>,
    /// Where the operator's API is served; nowhere when absent.
    pub socket: Option<PathBuf>,
    /// The resolvers outside, asked in this order.
    pub upstreams: Vec<SocketAddr>,
    /// What the command may ask them for that no rule writes out; anything when absent.
    pub dns_budget: Option<Budget>,
    /// The authority for policies that look inside TLS; absent for one that is made for this run and never written.
    pub authority: Option<Files>,
    /// Certificates that servers of intercepted connections are verified against, beside those that this system trusts.
    pub upstream_ca: Option<PathBuf>,
    /// How long the certificates for hosts are valid.
    pub leaf_ttl: LeafTtl,
    /// Where the secrets that rules inject come from.
    pub secrets: Sources,
    /// The largest body of a request that is kept to be judged.
    pub body_cap_bytes: usize,
    /// Whether the summary at the end is left out.
    pub quiet: bool,
    /// The program, looked up in `PATH`, and its arguments.
    pub command: Vec<OsString>,
}

/// The port that the DNS filter listens on inside.
pub const DNS_PORT: u16 = 53;
/// The port that the proxy listens on inside: above the range that clients' ports come from, and not one of those that
/// servers under development like to have.
pub const PROXY_PORT: u16 = 61080;
