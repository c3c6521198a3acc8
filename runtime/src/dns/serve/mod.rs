//! The filter's sockets: UDP and TCP, with bounds on what one agent can make the process hold.
//!
//! Nothing here knows what a query says; see [`Answer`]. Each listening socket stands for one address, so that a reply
//! leaves from the address that was asked.

mod tcp;
mod udp;

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::identity::Identity;

use super::message::Carrier;

/// What becomes of a message. An empty reply is not sent.
pub(super) enum Step {
    /// There is no reply to this.
    Silence,
    /// The reply is known.
    Reply(Vec<u8>),
    /// The reply has to be waited for.
    Later(Pin<Box<dyn Future<Output = Vec<u8>> + Send>>),
}

/// Answers messages.
pub(super) trait Answer: Send + Sync + 'static {
    /// Waits until another message can be taken.
    fn room(&self) -> impl Future<Output = ()> + Send;

    /// Takes a message. Does not block.
    fn begin(&self, agent: &Arc<str>, message: &[u8], carrier: Carrier) -> Step;

    /// The reply where too much is going on already to wait for one.
    fn overloaded(&self, agent: &Arc<str>, message: &[u8], carrier: Carrier) -> Vec<u8>;

    /// Hears of a connection that was closed because there were too many.
    fn turned_away(&self, agent: &Arc<str>);
}

/// How much the filter takes on at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Queries that wait for an upstream, over all agents. 512: more than any one machine has names to ask for at once,
    /// and each holds a few KiB.
    pub waiting: usize,
    /// TCP connections of one agent.
    pub connections_per_agent: usize,
    /// TCP connections over all agents.
    pub connections: usize,
    /// Queries of one TCP connection that wait for an upstream (RFC 7766, section 6.2.1.1).
    pub waiting_per_connection: usize,
    /// How long a TCP connection may stand without a query, or take to send one, or to take a reply (RFC 7766, 6.2.3).
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            waiting: 512,
            connections_per_agent: 32,
            connections: 256,
            waiting_per_connection: 16,
            idle: Duration::from_secs(10),
        }
    }
}

/// What all sockets share.
struct Shared<A> {
    answer: A,
    identity: Identity,
    limits: Limits,
    waiting: Arc<Semaphore>,
    connections: Arc<Semaphore>,
    by_agent: Mutex<HashMap<Arc<str>, usize>>,
}

/// Serves until a socket fails for good. Dropping the future closes every socket and connection.
///
/// # Errors
/// A socket cannot be used.
pub(super) async fn serve<A: Answer>(
    answer: A,
    identity: Identity,
    limits: Limits,
    udp: Vec<std::net::UdpSocket>,
    tcp: Vec<std::net::TcpListener>,
) -> io::Result<()> {
    let shared = Arc::new(Shared {
        answer,
        identity,
        waiting: Arc::new(Semaphore::new(limits.waiting)),
        connections: Arc::new(Semaphore::new(limits.connections)),
        by_agent: Mutex::default(),
        limits,
    });
    let mut tasks: JoinSet<io::Result<()>> = JoinSet::new();
    for socket in udp {
        socket.set_nonblocking(true)?;
        tasks.spawn(udp::serve(Arc::clone(&shared), tokio::net::UdpSocket::from_std(socket)?));
    }
    for listener in tcp {
        listener.set_nonblocking(true)?;
        tasks.spawn(tcp::serve(Arc::clone(&shared), tokio::net::TcpListener::from_std(listener)?));
    }
    match tasks.join_next().await {
        Some(ended) => ended.map_err(io::Error::other)?,
        None => Err(io::Error::new(io::ErrorKind::InvalidInput, "the DNS filter has no socket to listen on")),
    }
}

/// A connection's place in its agent's count; given back when dropped.
struct Place<A> {
    shared: Arc<Shared<A>>,
    agent: Arc<str>,
}

impl<A> Shared<A> {
    /// A place for one more connection of `agent`, if it has one left.
    fn place(self: &Arc<Self>, agent: &Arc<str>) -> Option<Place<A>> {
        let mut by_agent = self.by_agent.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_agent.entry(Arc::clone(agent)).or_default();
        if *count >= self.limits.connections_per_agent {
            return None;
        }
        *count += 1;
        Some(Place { shared: Arc::clone(self), agent: Arc::clone(agent) })
    }

    fn agent(&self, peer: SocketAddr) -> Arc<str> {
        self.identity.agent(peer)
    }
}

impl<A> Drop for Place<A> {
    fn drop(&mut self) {
        let mut by_agent = self.shared.by_agent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_agent.get_mut(&self.agent) {
            *count -= 1;
            if *count == 0 {
                by_agent.remove(&self.agent);
            }
        }
    }
}

/// Errors in a row after which a socket is taken to be broken rather than unlucky.
const ERRORS_MAX: u32 = 100;
/// How long to wait after an error, so that one that stays does not spin. Running out of descriptors passes by itself.
const ERROR_PAUSE: Duration = Duration::from_millis(20);

/// Counts errors of a socket in a row.
#[derive(Default)]
struct Errors(u32);

impl Errors {
    /// Waits a little, or gives the error back when there were too many.
    async fn pause(&mut self, error: io::Error) -> io::Result<()> {
        self.0 += 1;
        if self.0 > ERRORS_MAX {
            return Err(error);
        }
        tokio::time::sleep(ERROR_PAUSE).await;
        Ok(())
    }

    fn clear(&mut self) {
        self.0 = 0;
    }
}

#[cfg(test)]
mod tests;
