//! Accepts connections, within limits, until told to stop.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use outcall_schema::layer::Layer;
use outcall_schema::reason::Reason;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::connection::{Connection, reset};
use super::context::{Context, Mode};
use super::judge::Refusal;

/// How long accepting pauses when the process has no descriptors left, so that it does not spin.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves the connections of `listener` until `shutdown` turns true or its sender is gone, then lets those that are open
/// finish for [`super::Limits::drain`] and cuts off the rest. Dropping the future cuts off all at once.
///
/// # Errors
/// The listener cannot be used. What fails on a single connection ends that connection alone.
pub async fn serve(
    listener: std::net::TcpListener,
    mode: Mode,
    context: Context,
    mut shutdown: watch::Receiver<bool>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    context.shares.of_workers(Handle::current().metrics().num_workers());
    let context = Arc::new(context);
    let places = Arc::new(Semaphore::new(context.limits.connections));
    let agents = Agents::default();
    let mut tasks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = shutdown.wait_for(|stop| *stop) => break,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
            accepted = accept(&listener, &places, &context) => accepted,
        };
        let Some((stream, peer, place)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let Ok(destination) = original_destination(&stream, mode) else {
            reset(&stream);
            continue;
        };
        let agent = context.identity.agent(canonical(peer));
        let connection = Connection {
            share: context.shares.of(&agent),
            agent,
            context: Arc::clone(&context),
            destination,
            shutdown: shutdown.clone(),
            peer: canonical(peer),
        };
        match agents.enter(&connection.agent, context.limits.connections_per_agent) {
            Some(guest) => {
                let open = context.audit.meters().connection();
                let share = Arc::clone(&connection.share);
                tasks.spawn(share.run(async move {
                    connection.run(stream).await;
                    drop((guest, place, open));
                }));
            }
            None => {
                let refusal = Refusal::of(Reason::TooManyConnections);
                let layer = if destination.is_some() { Layer::Network } else { Layer::Http };
                connection.unreadable(&connection.snapshot(), layer, &refusal);
                reset(&stream);
            }
        }
    }
    drop(listener);
    let drained = async { while tasks.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(context.limits.drain, drained).await;
    tasks.shutdown().await;
    Ok(())
}

type Place = tokio::sync::OwnedSemaphorePermit;

/// The next connection, once there is a place for it and room for its records; `None` when accepting failed.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    context: &Context,
) -> Option<(TcpStream, SocketAddr, Place)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    context.audit.room().await;
    let (stream, peer) = listener.accept().await.ok()?;
    Some((stream, peer, place))
}

/// Where a redirected connection was going; `None` for one that was meant for the proxy.
///
/// The kernel keeps the destination from before the redirection. One that equals the listener's own address, or that the
/// kernel knows nothing of, was not redirected.
fn original_destination(stream: &TcpStream, mode: Mode) -> io::Result<Option<SocketAddr>> {
    if mode == Mode::Explicit {
        return Ok(None);
    }
    let own = canonical(stream.local_addr()?);
    let original = match own {
        SocketAddr::V4(_) => rustix::net::sockopt::ip_original_dst(stream).map(SocketAddr::V4),
        SocketAddr::V6(_) => rustix::net::sockopt::ipv6_original_dst(stream).map(SocketAddr::V6),
    };
    match (original.ok().map(canonical).filter(|original| *original != own), mode) {
        (Some(original), _) => Ok(Some(original)),
        (None, Mode::Transparent) => Err(io::ErrorKind::AddrNotAvailable.into()),
        (None, Mode::Explicit | Mode::Either) => Ok(None),
    }
}

/// The address without its IPv6 clothes and without what is not part of a destination.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// How many connections each agent has open.
#[derive(Debug, Default, Clone)]
struct Agents {
    open: Arc<Mutex<HashMap<Arc<str>, usize>>>,
}

impl Agents {
    fn enter(&self, agent: &Arc<str>, limit: usize) -> Option<Guest> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(Arc::clone(agent)).or_default();
        if *count >= limit {
            return None;
        }
        *count += 1;
        Some(Guest { agents: self.clone(), agent: Arc::clone(agent) })
    }
}

/// One open connection; counted until it is dropped.
#[derive(Debug)]
struct Guest {
    agents: Agents,
    agent: Arc<str>,
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut open = self.agents.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.agent) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&self.agent);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_has_so_many_connections_and_no_more() {
        let agents = Agents::default();
        let (one, two): (Arc<str>, Arc<str>) = ("one".into(), "two".into());
        let first = agents.enter(&one, 2).unwrap();
        let _second = agents.enter(&one, 2).unwrap();
        assert!(agents.enter(&one, 2).is_none());
        assert!(agents.enter(&two, 2).is_some());
        drop(first);
        assert!(agents.enter(&one, 2).is_some());
        drop(_second);
        assert!(agents.open.lock().unwrap().is_empty());
    }
}
