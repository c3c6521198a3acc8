//! Connections to verified servers that can carry another request of the same agent to the same place.
//!
//! Invariant: a connection belongs to one agent, one name, one address and port, and one protocol. Who takes it out has
//! judged that very place for this request.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use h2::Ping;
use h2::client::{Builder, SendRequest};
use outcall_schema::host::Host;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_rustls::client::TlsStream;

use super::paced::{OF_SERVERS, Paced};
use super::room::Room;
use super::upstream::Protocol;
use crate::shares::Share;

/// How long an unused connection is kept. Common servers close theirs after 60 to 75 s.
const IDLE: Duration = Duration::from_secs(50);
/// How often unused connections are looked for.
const SWEEP: Duration = Duration::from_secs(10);
/// How many connections of one agent are kept.
const MAX_OF_AGENT: usize = 64;
/// What a server may send ahead on one stream, in bytes: 10 MB/s over 50 ms.
const STREAM_WINDOW: u32 = 512 << 10;
/// The same once the agent has many requests under way, which need not be fast each: enough for a server that is next door.
const NARROW_WINDOW: u32 = 64 << 10;
/// How long it is waited before a change of settings is tried again.
const AGAIN: Duration = Duration::from_millis(20);
/// How many requests share one connection.
const MAX_STREAMS: u32 = 64;
/// The same on one connection: enough for all streams, or those whose clients do not read on would hold up the others.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * MAX_STREAMS;
/// What waits to be sent on one stream, in bytes.
const SEND_BUFFER: usize = 128 << 10;
/// The largest response head, in bytes as HTTP/2 counts them (RFC 9113, section 6.5.2).
const MAX_HEAD_BYTES: u32 = 64 << 10;

/// Where a connection goes, and whose it is.
#[derive(Debug, Clone)]
pub struct Place {
    /// The agent.
    pub agent: Arc<str>,
    /// The name that the server was verified for.
    pub host: Host,
    /// The address, with the port.
    pub address: SocketAddr,
}

impl Place {
    fn key(&self) -> (Host, SocketAddr) {
        (self.host.clone(), self.address)
    }
}

/// Connections that can be used again.
#[derive(Debug, Clone, Default)]
pub struct Pool {
    agents: Arc<Mutex<Agents>>,
}

#[derive(Debug, Default)]
struct Agents {
    kept: HashMap<Arc<str>, HashMap<(Host, SocketAddr), Kept>>,
    /// Whether somebody looks for what is not used any more.
    swept: bool,
}

impl Agents {
    fn get(&mut self, place: &Place) -> Option<&mut Kept> {
        self.kept.get_mut(&place.agent)?.get_mut(&place.key())
    }
}

#[derive(Debug, Default)]
struct Kept {
    /// The last one in is the first one out: the others may then grow old.
    http11: Vec<Idle>,
    h2: Vec<Shared>,
    /// The server was offered both and chose HTTP/1.1.
    chose_http11: bool,
    /// Held by who dials, so that those who could share the connection wait for it.
    dialling: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug)]
struct Idle {
    stream: Box<TlsStream<TcpStream>>,
    since: Instant,
}

impl Kept {
    fn len(&self) -> usize {
        self.http11.len() + self.h2.len()
    }

    fn sweep(&mut self, now: Instant) {
        self.http11.retain(|idle| now < idle.since + IDLE);
        self.h2.retain(|shared| !shared.is_closed() && !shared.is_idle(now));
    }

    fn is_unused(&self) -> bool {
        self.len() == 0 && Arc::strong_count(&self.dialling) == 1
    }
}

impl Pool {
    /// An HTTP/1.1 connection. Whether the server still wants it is for the caller to see.
    pub fn take(&self, place: &Place) -> Option<Box<TlsStream<TcpStream>>> {
        let idle = self.locked().get(place)?.http11.pop()?;
        (Instant::now() < idle.since + IDLE).then_some(idle.stream)
    }

    /// Whether there is an HTTP/1.1 connection, whose server was verified then.
    pub fn has_http11(&self, place: &Place) -> bool {
        let now = Instant::now();
        self.locked().get(place).is_some_and(|kept| kept.http11.iter().any(|idle| now < idle.since + IDLE))
    }

    /// Keeps an HTTP/1.1 connection on which nothing is under way.
    pub fn give(&self, place: &Place, stream: Box<TlsStream<TcpStream>>) {
        let since = Instant::now();
        self.keep(place, |kept| kept.http11.push(Idle { stream, since }));
    }

    /// The same for one to a server that was offered HTTP/2 as well, which is remembered while connections are kept.
    pub fn give_chosen(&self, place: &Place, stream: Box<TlsStream<TcpStream>>) {
        self.give(place, stream);
        if let Some(kept) = self.locked().get(place) {
            kept.chose_http11 = true;
        }
    }

    /// The protocol that a server which was offered both is known to speak.
    pub fn protocol(&self, place: &Place) -> Option<Protocol> {
        let mut agents = self.locked();
        let kept = agents.get(place)?;
        match kept {
            kept if kept.h2.iter().any(|shared| !shared.is_closed()) => Some(Protocol::H2),
            kept => kept.chose_http11.then_some(Protocol::Http11),
        }
    }

    /// A place on an HTTP/2 connection that can take another stream.
    pub fn shared(&self, place: &Place) -> Option<Seat> {
        let mut agents = self.locked();
        let kept = agents.get(place)?;
        kept.h2.retain(|shared| !shared.is_closed());
        kept.h2.iter().find_map(Shared::seat)
    }

    /// Who holds this dials for the place; others who want to share the connection wait.
    pub fn dialling(&self, place: &Place) -> Arc<tokio::sync::Mutex<()>> {
        let mut agents = self.locked();
        self.sweep_later(&mut agents);
        let kept = agents.kept.entry(Arc::clone(&place.agent)).or_default().entry(place.key()).or_default();
        Arc::clone(&kept.dialling)
    }

    /// Begins HTTP/2 on a connection and keeps it to be shared. What drives it is charged to `share`, and what it holds depends on
    /// what else there is in the agent's `room`.
    ///
    /// # Errors
    /// What the connection says.
    pub async fn share(
        &self,
        place: &Place,
        stream: TlsStream<TcpStream>,
        share: &Arc<Share>,
        room: Arc<Room>,
    ) -> Result<Seat, h2::Error> {
        let shared = Shared::begin(stream, share, room).await?;
        // Nobody else has it yet, so there is a seat.
        let seat = shared.take_seat();
        self.keep(place, |kept| kept.h2.push(shared));
        Ok(seat)
    }

    fn keep(&self, place: &Place, insert: impl FnOnce(&mut Kept)) {
        let mut agents = self.locked();
        self.sweep_later(&mut agents);
        let of_agent = agents.kept.entry(Arc::clone(&place.agent)).or_default();
        if of_agent.values().map(Kept::len).sum::<usize>() < MAX_OF_AGENT {
            insert(of_agent.entry(place.key()).or_default());
        }
    }

    fn sweep_later(&self, agents: &mut Agents) {
        if !std::mem::replace(&mut agents.swept, true) {
            tokio::spawn(sweep(self.clone()));
        }
    }

    fn locked(&self) -> MutexGuard<'_, Agents> {
        // Nothing panics half way through a change.
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes what is not used, until nothing is kept.
async fn sweep(pool: Pool) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let now = Instant::now();
        let mut agents = pool.locked();
        agents.kept.retain(|_, places| {
            places.retain(|_, kept| {
                kept.sweep(now);
                !kept.is_unused()
            });
            !places.is_empty()
        });
        if agents.kept.is_empty() {
            agents.swept = false;
            return;
        }
    }
}

/// An HTTP/2 connection.
#[derive(Debug)]
struct Shared {
    requests: SendRequest<Bytes>,
    state: Arc<State>,
    extended: watch::Receiver<Option<bool>>,
}

#[derive(Debug)]
struct State {
    closed: AtomicBool,
    streams: AtomicUsize,
    /// When the last stream ended.
    since: Mutex<Instant>,
}

impl Shared {
    async fn begin(stream: TlsStream<TcpStream>, share: &Arc<Share>, room: Arc<Room>) -> Result<Shared, h2::Error> {
        let window = |crowded: bool| if crowded { NARROW_WINDOW } else { STREAM_WINDOW };
        let mut crowded = room.crowded();
        let mut said = *crowded.borrow_and_update();
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(window(said))
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_HEAD_BYTES)
            .max_send_buffer_size(SEND_BUFFER);
        let (requests, mut connection) = builder.handshake(Paced::new(stream, 0, OF_SERVERS)).await?;
        let state =
            State { closed: AtomicBool::new(false), streams: AtomicUsize::new(0), since: Mutex::new(Instant::now()) };
        let state = Arc::new(state);
        let (known, extended) = watch::channel(None);
        let (driven, asking) = (Arc::clone(&state), requests.clone());
        tokio::spawn(Arc::clone(share).run(async move {
            let pings = connection.ping_pong();
            let settled = async move {
                // A server's settings come before anything else it says (RFC 9113, section 3.4).
                if let Some(mut pings) = pings
                    && pings.ping(Ping::opaque()).await.is_ok()
                {
                    let _ = known.send(Some(asking.is_extended_connect_protocol_enabled()));
                }
                drop(asking);
                std::future::pending::<()>().await;
            };
            let mut settled = pin!(settled);
            let _room = room;
            let mut wanted = said;
            loop {
                tokio::select! {
                    // Why a connection ended is told to each of its streams.
                    _ = &mut connection => return driven.closed.store(true, Ordering::Relaxed),
                    () = &mut settled => {}
                    Ok(()) = crowded.changed() => wanted = *crowded.borrow_and_update(),
                    // The settings cannot change again before the server has acknowledged the last ones.
                    () = sleep(AGAIN), if wanted != said => {}
                }
                if wanted != said && connection.set_initial_window_size(window(wanted)).is_ok() {
                    said = wanted;
                }
            }
        }));
        Ok(Shared { requests, state, extended })
    }

    fn is_closed(&self) -> bool {
        self.state.closed.load(Ordering::Relaxed)
    }

    fn is_idle(&self, now: Instant) -> bool {
        let since = *self.state.since.lock().unwrap_or_else(PoisonError::into_inner);
        self.state.streams.load(Ordering::Relaxed) == 0 && now >= since + IDLE
    }

    fn seat(&self) -> Option<Seat> {
        let free = self.state.streams.load(Ordering::Relaxed)
            < self.requests.current_max_send_streams().min(MAX_STREAMS as usize);
        free.then(|| self.take_seat())
    }

    fn take_seat(&self) -> Seat {
        self.state.streams.fetch_add(1, Ordering::Relaxed);
        Seat { requests: self.requests.clone(), extended: self.extended.clone(), taken: Taken(Arc::clone(&self.state)) }
    }
}

/// A place for one stream on an HTTP/2 connection; free again when this is dropped.
#[derive(Debug)]
pub struct Seat {
    requests: SendRequest<Bytes>,
    extended: watch::Receiver<Option<bool>>,
    taken: Taken,
}

#[derive(Debug)]
struct Taken(Arc<State>);

impl Drop for Taken {
    fn drop(&mut self) {
        *self.0.since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Seat {
    /// What requests are sent with, once the server takes another.
    ///
    /// # Errors
    /// The connection is over; it is not given out again.
    pub async fn ready(&mut self) -> Result<&mut SendRequest<Bytes>, h2::Error> {
        let ready = self.requests.clone().ready().await;
        match ready {
            Ok(requests) => {
                self.requests = requests;
                Ok(&mut self.requests)
            }
            Err(error) => {
                self.over();
                Err(error)
            }
        }
    }

    /// Has nobody else use this connection.
    pub fn over(&self) {
        self.taken.0.closed.store(true, Ordering::Relaxed);
    }

    /// Whether the server has said anything in HTTP/2 yet. One that does not like what it saw in the handshake says so after
    /// we have seen that end (RFC 8446, section 4.4.2.4), and may be gone before we read it.
    pub fn was_heard(&self) -> bool {
        self.extended.borrow().is_some()
    }

    /// Whether the server takes an extended CONNECT (RFC 8441, section 3), once that is known. Never ends where it never is.
    pub fn extended(&self) -> impl Future<Output = bool> + Send + use<> {
        let mut extended = self.extended.clone();
        async move {
            let known = extended.wait_for(Option::is_some).await.map(|known| *known == Some(true));
            match known {
                Ok(known) => known,
                Err(_) => std::future::pending().await,
            }
        }
    }
}
