//! Who is asking: the agent behind a peer, as the host knows it.

use std::net::SocketAddr;
use std::sync::Arc;

/// Tells agents apart by what they cannot choose themselves. Nothing that a peer sends is ever asked.
pub trait Identify: Send + Sync {
    /// The name of the agent at this address; empty when nobody knows it.
    fn agent(&self, peer: SocketAddr) -> Arc<str>;

    /// The name of the agent behind the link of this name, where agents have one each; empty when nobody knows it.
    fn behind(&self, link: &str) -> Arc<str>;
}

/// Shared by everything that listens.
pub type Identity = Arc<dyn Identify>;

/// Whoever asks is this agent: for a sandbox, in whose network namespace there is nobody else.
#[derive(Debug, Clone)]
pub struct OneAgent(Arc<str>);

impl OneAgent {
    /// An identity for the agent with this name.
    pub fn named(name: &str) -> OneAgent {
        OneAgent(name.into())
    }
}

impl Identify for OneAgent {
    fn agent(&self, _peer: SocketAddr) -> Arc<str> {
        Arc::clone(&self.0)
    }

    fn behind(&self, _link: &str) -> Arc<str> {
        Arc::clone(&self.0)
    }
}
