//! Asks a resolver over TLS (RFC 7858): its certificate is verified, and questions share one connection at a time.
//!
//! Invariant: a resolver that was named with `tls://` is asked in no other way, whatever goes wrong.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::dial::Dialer;

/// How long connecting and shaking hands may take. Whoever asked does not wait that long, but the next one finds it done.
const CONNECT: Duration = Duration::from_secs(4);
/// How long a server may say nothing while it owes an answer, before another connection is tried: somewhat longer than one
/// attempt, so that the next one soon finds a new connection.
const SILENT: Duration = Duration::from_millis(1_500);
/// How long a connection without questions is kept (RFC 7858, section 3.4, leaves it to both sides).
const IDLE: Duration = Duration::from_secs(10);
/// Questions that wait to be sent.
const QUEUE: usize = 64;
/// The length before each message, and the id at its beginning (RFC 1035, sections 4.2.2 and 4.1.1).
const LENGTH: usize = 2;
const ID: usize = 2;

/// How connections to such servers are made: by whom a certificate must be vouched for.
///
/// # Errors
/// What rustls says.
pub(super) fn connector(roots: RootCertStore) -> Result<TlsConnector, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // A resumed session is not verified again.
    config.resumption = Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// A server, and the connection to it if there is one.
#[derive(Debug)]
pub(super) struct Encrypted {
    place: Arc<Place>,
    connection: Mutex<Option<mpsc::Sender<Ask>>>,
}

struct Place {
    address: SocketAddr,
    name: ServerName<'static>,
    connector: TlsConnector,
    dialer: Dialer,
    /// Why the last connection was not made, so that it is said once.
    said: Mutex<String>,
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place").field("address", &self.address).field("name", &self.name).finish_non_exhaustive()
    }
}

/// A question on its way to the connection, and where its answer goes. Dropped without one, the connection has ended.
struct Ask {
    query: Vec<u8>,
    answer: oneshot::Sender<Vec<u8>>,
}

/// The connection ended, or never was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gone;

impl Encrypted {
    pub(super) fn new(
        address: SocketAddr,
        name: ServerName<'static>,
        connector: TlsConnector,
        dialer: Dialer,
    ) -> Encrypted {
        let place = Place { address, name, connector, dialer, said: Mutex::default() };
        Encrypted { place: Arc::new(place), connection: Mutex::default() }
    }

    /// The reply to a query, under the query's own id.
    ///
    /// # Errors
    /// [`Gone`]. A server may end a connection at any time, so where it was an old one a new one is tried first.
    pub(super) async fn ask(&self, query: &[u8]) -> Result<Vec<u8>, Gone> {
        loop {
            let (connection, new) = self.connection();
            let (answer, answered) = oneshot::channel();
            let sent = connection.send(Ask { query: query.to_vec(), answer }).await;
            match (sent, answered.await) {
                (Ok(()), Ok(mut reply)) => {
                    // On the way it had the connection's id for it.
                    if let (Some(to), Some(from)) = (reply.get_mut(..ID), query.get(..ID)) {
                        to.copy_from_slice(from);
                    }
                    return Ok(reply);
                }
                (Err(_), _) | (_, Err(_)) if new => return Err(Gone),
                (Err(_), _) | (_, Err(_)) => self.forget(&connection),
            }
        }
    }

    /// The connection that there is, or a new one.
    fn connection(&self) -> (mpsc::Sender<Ask>, bool) {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = connection.as_ref().filter(|open| !open.is_closed()) {
            return (open.clone(), false);
        }
        let (asks, asked) = mpsc::channel(QUEUE);
        *connection = Some(asks.clone());
        tokio::spawn(Arc::clone(&self.place).carry(asked));
        (asks, true)
    }

    fn forget(&self, ended: &mpsc::Sender<Ask>) {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        if connection.as_ref().is_some_and(|open| open.same_channel(ended)) {
            *connection = None;
        }
    }
}

impl Place {
    /// Connects and carries questions until the server ends it, says nothing, or nobody asks.
    async fn carry(self: Arc<Place>, asked: mpsc::Receiver<Ask>) {
        let connected = timeout(CONNECT, self.connect()).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let why = match connected {
            Ok(stream) => {
                let (read, write) = tokio::io::split(stream);
                let carrying =
                    Carrying { read, write, asked, open: HashMap::new(), received: BytesMut::new(), next: 0 };
                // How it ended whoever waits sees, and what they ask next finds a new one.
                let _ = carrying.run().await;
                String::new()
            }
            Err(error) => error.to_string(),
        };
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if !why.is_empty() && *said != why {
            crate::say!("cannot ask the resolver at {} over TLS: {why}", self.address);
        }
        *said = why;
    }

    async fn connect(&self) -> io::Result<TlsStream<TcpStream>> {
        let stream = self.dialer.dns_stream(self.address, CONNECT).await.map_err(io::Error::other)?;
        self.connector.connect(self.name.clone(), stream).await
    }
}

/// A connection and the questions that are open on it, by the ids that they have there.
struct Carrying {
    read: ReadHalf<TlsStream<TcpStream>>,
    write: WriteHalf<TlsStream<TcpStream>>,
    asked: mpsc::Receiver<Ask>,
    open: HashMap<u16, oneshot::Sender<Vec<u8>>>,
    received: BytesMut,
    next: u16,
}

impl Carrying {
    async fn run(mut self) -> io::Result<()> {
        let mut heard = Instant::now();
        loop {
            // Who gave up waits for nothing any more.
            let patience = if self.open.is_empty() { IDLE } else { SILENT };
            tokio::select! {
                ask = self.asked.recv() => {
                    let Some(ask) = ask else { return Ok(()) };
                    if self.open.is_empty() {
                        heard = Instant::now();
                    }
                    timeout(SILENT, self.send(ask)).await.map_err(|_| io::ErrorKind::TimedOut)??;
                }
                count = self.read.read_buf(&mut self.received) => {
                    if count? == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    heard = Instant::now();
                    self.deliver();
                }
                () = sleep_until(heard + patience) => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
    }

    /// Sends a question under an id that no open one has.
    async fn send(&mut self, ask: Ask) -> io::Result<()> {
        let Ask { mut query, answer } = ask;
        self.open.retain(|_, answer| !answer.is_closed());
        // Fewer are open than there are ids: those who wait hold a place each.
        while self.open.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        let length = u16::try_from(query.len()).map_err(io::Error::other)?;
        let place = query.get_mut(..ID).ok_or(io::ErrorKind::InvalidInput)?;
        place.copy_from_slice(&id.to_be_bytes());
        // Both at once, so that they leave in one record (RFC 7766, section 8).
        let mut framed = length.to_be_bytes().to_vec();
        framed.append(&mut query);
        self.open.insert(id, answer);
        self.write.write_all(&framed).await?;
        self.write.flush().await
    }

    /// Gives away the replies that are whole; they come in any order (RFC 7858, section 3.3).
    fn deliver(&mut self) {
        while let Some(length) = self.received.first_chunk().map(|length| usize::from(u16::from_be_bytes(*length))) {
            if self.received.len() < LENGTH + length {
                return;
            }
            self.received.advance(LENGTH);
            let reply = self.received.split_to(length);
            let id = reply.first_chunk().map(|id| u16::from_be_bytes(*id));
            // One that nobody asked for, or that came too late, is for nobody.
            if let Some(answer) = id.and_then(|id| self.open.remove(&id)) {
                let _ = answer.send(reply.to_vec());
            }
        }
    }
}
