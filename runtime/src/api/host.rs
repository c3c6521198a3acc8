//! What the API asks of the host's core: the bridge, the agents on it, and the policy that is in force.
//!
//! `outcall run` has no such thing behind its socket; the endpoints that need it answer 404 there.

use std::future::Future;
use std::os::fd::OwnedFd;
use std::pin::Pin;

use outcall_schema::api::agents::{Agent, Attach, Attached, Detach, Detached};
use outcall_schema::api::bridge::Bridge;
use outcall_schema::api::docker;
use outcall_schema::api::grants::{Grant, GrantsFlushed};
use outcall_schema::api::load::Loaded;
use outcall_schema::artifact::bundle::Bundle;

/// What is there later, or why it is not.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failed>> + Send + 'a>>;

/// The host's core. Each call either does the whole of what it says, or changes nothing and says why.
///
/// Whoever asked may go away, and the future with it: what must not stop in the middle goes on in a task of its own.
pub trait Host: Send + Sync {
    /// How the bridge is.
    fn bridge(&self) -> Later<'_, Bridge>;

    /// Makes the bridge, or takes it up again. Where it is up nothing changes.
    fn bridge_up(&self) -> Later<'_, Bridge>;

    /// Takes the bridge down: agents stay attached and reach nothing. Our tables stay where they are.
    fn bridge_down(&self) -> Later<'_, Bridge>;

    /// Puts an uploaded policy in force.
    fn load(&self, artifacts: Bundle) -> Later<'_, Loaded>;

    /// Reads the directory of `--artifacts` again, as on `SIGHUP`.
    fn reload(&self) -> Later<'_, Loaded>;

    /// Puts the policy in force that was before this one.
    fn rollback(&self) -> Later<'_, Loaded>;

    /// The addresses that are open because names led there.
    fn grants(&self) -> Later<'_, Vec<Grant>>;

    /// Closes them, and cuts what uses them.
    fn flush_grants(&self) -> Later<'_, GrantsFlushed>;

    /// Whether whoever connected is behind the port of an agent.
    fn is_agent(&self, socket: OwnedFd) -> Later<'_, bool>;

    /// The agents on the bridge, in the order of their names.
    fn agents(&self) -> Later<'_, Vec<Agent>>;

    /// Gives addresses and a port to a new agent. [`Kind::Conflict`] where the name is taken.
    fn attach(&self, wanted: Attach) -> Later<'_, Attached>;

    /// Takes them from it. [`Kind::Missing`] where there is no such agent.
    fn detach(&self, wanted: Detach) -> Later<'_, Detached>;

    /// The networks of Docker's engine on our bridge.
    fn networks(&self) -> Later<'_, Vec<docker::Network>>;

    /// What such a network is made with, and how the engine is.
    fn network_config(&self) -> Later<'_, docker::NetworkConfig>;

    /// Makes one. Where it is there nothing changes.
    fn network_create(&self, wanted: docker::NetworkCreate) -> Later<'_, docker::Network>;

    /// Removes one. [`Kind::Conflict`] where containers are on it and nothing says that they may be.
    fn network_destroy(&self, wanted: docker::NetworkDestroy) -> Later<'_, docker::Named>;

    /// The containers on our network.
    fn containers(&self) -> Later<'_, Vec<docker::Container>>;

    /// One of them. [`Kind::Missing`] where there is none of that name.
    fn container(&self, name: String) -> Later<'_, docker::ContainerDetail>;

    /// The end of what one has said.
    fn container_logs(&self, name: String) -> Later<'_, docker::ContainerLogs>;

    /// Starts one as an agent. [`Kind::Refused`] where the policy does not allow it.
    fn container_create(&self, wanted: docker::ContainerCreate) -> Later<'_, docker::Container>;

    /// Stops one.
    fn container_stop(&self, wanted: docker::ContainerStop) -> Later<'_, docker::Named>;

    /// Removes one. [`Kind::Conflict`] where it runs and nothing says that it may.
    fn container_remove(&self, wanted: docker::ContainerRemove) -> Later<'_, docker::Named>;

    /// Fetches an image. [`Kind::Refused`] where the policy does not allow it.
    fn container_pull(&self, wanted: docker::ContainerPull) -> Later<'_, docker::Named>;

    /// The named counters of our tables.
    fn counters(&self) -> Later<'_, Vec<Counter>>;

    /// What still stands in the way of guarding agents, a sentence each; nothing once all is in force.
    fn not_ready(&self) -> Vec<String>;
}

/// A named counter of the kernel's tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counter {
    /// Its name.
    pub name: String,
    /// How many packets it saw.
    pub packets: u64,
    /// How many bytes were in them.
    pub bytes: u64,
}

/// What kind of failure it is; each has its status code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 403: the policy says no.
    Refused,
    /// 404: there is no such thing.
    Missing,
    /// 409: as things are it cannot be, such as a name that is taken.
    Conflict,
    /// 422: what was sent cannot be used, such as a policy whose signature is wrong or that nft refuses.
    Unusable,
    /// 503: not now; trying again can help.
    Busy,
    /// 500: the host cannot.
    Broken,
}

/// Why something was not done. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Failed {
    /// The kind.
    pub kind: Kind,
    /// In words.
    pub why: String,
}

impl Failed {
    /// A failure of this kind.
    pub fn new(kind: Kind, why: impl Into<String>) -> Failed {
        Failed { kind, why: why.into() }
    }

    /// The status code.
    pub const fn status(&self) -> u16 {
        match self.kind {
            Kind::Refused => 403,
            Kind::Missing => 404,
            Kind::Conflict => 409,
            Kind::Unusable => 422,
            Kind::Busy => 503,
            Kind::Broken => 500,
        }
    }
}
