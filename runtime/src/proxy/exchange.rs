//! One request on its way to the server and the response on its way back, both at once.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use outcall_schema::host::Host;
use outcall_schema::reason::Reason;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::body::{self, Body, BodyError};
use super::connection::Connection;
use super::entry::Entry;
use super::fields::{EndOfHead, Framing, HeadError, Version};
use super::http::refusal_of_body;
use super::incoming::Incoming;
use super::judge::{self, Refusal, Subject};
use super::redact::Redaction;
use super::relay::relay;
use super::request::{Persistence, Request, Upgrade};
use super::response::Response;
use super::revoke::{Passing, Revoked};
use super::rewrite::Rewrite;
use super::upstream::Candidate;
use crate::intercept::upstream::tls;
use crate::snapshot::Snapshot;

/// The most informational responses to one request. Servers send one or two.
pub(super) const MAX_INFORMATIONAL: usize = 16;

/// How long the rest of a request's body may take once its response is complete.
const AFTER_RESPONSE: Duration = Duration::from_secs(5);

/// A connection to a server, for one place.
pub(super) struct Upstream {
    pub(super) host: Host,
    pub(super) port: u16,
    pub(super) address: SocketAddr,
    pub(super) stream: Stream,
    pub(super) incoming: Incoming,
}

/// The bytes between us and a server.
pub(super) enum Stream {
    Plain(TcpStream),
    /// Verified for the host.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Whether the other side has neither closed nor said anything that was not read.
    pub(super) async fn is_silent(&mut self) -> bool {
        let stream = match self {
            Stream::Plain(stream) => {
                let nothing = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
                return stream.try_read(&mut [0]).as_ref().is_err_and(nothing);
            }
            Stream::Tls(stream) => stream,
        };
        // Messages of TLS itself, such as tickets, are taken in on the way.
        let mut byte = [0];
        let asking = poll_fn(|context| {
            Poll::Ready(Pin::new(&mut *stream).poll_read(context, &mut ReadBuf::new(&mut byte)).is_pending())
        });
        tokio::task::unconstrained(asking).await
    }
}

/// A request that may pass.
pub(super) struct Exchange<'a> {
    pub(super) connection: &'a Connection,
    pub(super) snapshot: &'a Snapshot,
    pub(super) subject: &'a Subject,
    pub(super) request: &'a Request<'a>,
    pub(super) entry: &'a Entry,
    pub(super) candidate: Candidate,
    /// The head to send, and what was kept of the body.
    pub(super) first: [&'a [u8]; 2],
    /// What the response must not show, if a secret goes out.
    pub(super) redaction: Option<&'a Redaction>,
}

/// How an exchange ended.
pub(super) enum Ended {
    /// Request and response went through, and the connections may go on or not.
    Complete { client: Persistence, upstream: Persistence },
    /// The connection is over and nothing can be said any more: a tunnel ended, a response broke off, the client left.
    Closed,
    /// Nothing was answered yet, so this can be.
    Unanswered(Refusal),
}

/// Sends the request and passes the response on. Writes the record of what was allowed, once a response came or the
/// client left before it; a refusal's record is the caller's.
pub(super) async fn run(
    exchange: &Exchange<'_>,
    client: (&mut Incoming, &mut (impl AsyncRead + Unpin), &mut (impl AsyncWrite + Unpin)),
    upstream: &mut Upstream,
    body: &mut Body,
) -> Ended {
    let carrying = async {
        match &mut upstream.stream {
            Stream::Plain(stream) => {
                let (mut reader, mut writer) = stream.split();
                carry(exchange, client, (&mut upstream.incoming, &mut reader, &mut writer), body).await
            }
            Stream::Tls(stream) => {
                let (mut reader, mut writer) = tokio::io::split(stream);
                carry(exchange, client, (&mut upstream.incoming, &mut reader, &mut writer), body).await
            }
        }
    };
    let Exchange { connection, snapshot, subject, candidate, .. } = exchange;
    let passing = Passing { snapshot, subject, address: candidate.address, fallen: false };
    match connection.while_allowed(passing, carrying).await {
        Ok(ended) => ended,
        Err(Revoked { snapshot, refusal }) => {
            exchange.entry.refused(connection, &snapshot, subject, &refusal);
            Ended::Closed
        }
    }
}

async fn carry(
    exchange: &Exchange<'_>,
    client: (&mut Incoming, &mut (impl AsyncRead + Unpin), &mut (impl AsyncWrite + Unpin)),
    server: (&mut Incoming, &mut (impl AsyncRead + Unpin), &mut (impl AsyncWrite + Unpin)),
    body: &mut Body,
) -> Ended {
    let (incoming, reader, writer) = client;
    let (server_incoming, server_reader, server_writer) = server;
    let progress = Progress::default();
    let (received, mut sent) = {
        let mut send = pin!(send(exchange, &progress, incoming, reader, server_writer, body));
        let mut receive = pin!(receive(exchange, &progress, server_incoming, server_reader, writer));
        let mut sent = None;
        let received = loop {
            tokio::select! {
                result = &mut send, if sent.is_none() => match result {
                    // The server may have answered without reading on; only its answer can tell.
                    Ok(()) | Err(BodyError::Write(_) | BodyError::WriteTimeout) => sent = Some(result),
                    Err(error) => break Err(Lost::Client(error)),
                },
                result = &mut receive => break result,
            }
        };
        if let (Ok(Received::Response { client: Persistence::KeepAlive, .. }), None) = (&received, &sent) {
            sent = timeout(AFTER_RESPONSE, send).await.ok();
        }
        (received, sent)
    };
    match received {
        Ok(Received::Response { client, upstream }) => match sent.take() {
            Some(Ok(())) => Ended::Complete { client, upstream },
            _ => Ended::Complete { client: Persistence::Close, upstream: Persistence::Close },
        },
        Ok(Received::Switched) => {
            let early = server_incoming.take_all();
            let late = incoming.take_all();
            let idle = exchange.connection.limits().tunnel;
            if let Some(redaction) = exchange.redaction {
                let mut guarded = redaction.guard(&early, server_reader);
                if body::send(server_writer, &late).await.is_ok() {
                    relay((reader, writer), (&mut guarded, server_writer), idle).await;
                }
                if guarded.found() {
                    let refusal = Refusal::of(Reason::SecretEchoed);
                    exchange.entry.refused(exchange.connection, exchange.snapshot, exchange.subject, &refusal);
                }
            } else if body::send(writer, &early).await.is_ok() && body::send(server_writer, &late).await.is_ok() {
                relay((reader, writer), (server_reader, server_writer), idle).await;
            }
            Ended::Closed
        }
        Err(lost) => exchange.lost(&progress, lost),
    }
}

/// How far an exchange got.
#[derive(Default)]
struct Progress {
    /// The whole request was sent.
    sent: AtomicBool,
    /// Something of the final response was passed on.
    answered: AtomicBool,
}

/// What came back.
enum Received {
    Response {
        client: Persistence,
        upstream: Persistence,
    },
    /// The server switched to the protocol that was asked for.
    Switched,
}

/// Why nothing, or not all, came back.
enum Lost {
    /// The client's body could not be had.
    Client(BodyError),
    /// The client takes nothing any more.
    ClientGone,
    /// The response broke off.
    Cut,
    /// The response is none, or must not be passed on.
    Refused(Refusal),
}

impl Exchange<'_> {
    fn lost(&self, progress: &Progress, lost: Lost) -> Ended {
        let answered = progress.answered.load(Ordering::Relaxed);
        let refusal = match lost {
            Lost::Client(error) => refusal_of_body(&error),
            Lost::ClientGone => None,
            Lost::Cut => return Ended::Closed,
            Lost::Refused(refusal) => Some(refusal),
        };
        match refusal {
            Some(refusal) if !answered => Ended::Unanswered(refusal),
            Some(refusal) => {
                self.entry.refused(self.connection, self.snapshot, self.subject, &refusal);
                Ended::Closed
            }
            None => {
                if !answered {
                    self.allowed();
                }
                Ended::Closed
            }
        }
    }

    fn allowed(&self) {
        self.entry.allowed(self.connection, self.snapshot, self.subject, self.candidate);
    }
}

async fn send(
    exchange: &Exchange<'_>,
    progress: &Progress,
    incoming: &mut Incoming,
    reader: &mut (impl AsyncRead + Unpin),
    server: &mut (impl AsyncWrite + Unpin),
    body: &mut Body,
) -> Result<(), BodyError> {
    let idle = exchange.connection.limits().body;
    for bytes in exchange.first.into_iter().filter(|bytes| !bytes.is_empty()) {
        match timeout(idle, body::send(server, bytes)).await {
            Ok(written) => written.map_err(BodyError::Write)?,
            Err(_) => return Err(BodyError::WriteTimeout),
        }
    }
    body.forward(incoming, reader, server, idle).await?;
    progress.sent.store(true, Ordering::Relaxed);
    Ok(())
}

async fn receive(
    exchange: &Exchange<'_>,
    progress: &Progress,
    incoming: &mut Incoming,
    server: &mut (impl AsyncRead + Unpin),
    client: &mut (impl AsyncWrite + Unpin),
) -> Result<Received, Lost> {
    let request = exchange.request;
    let limits = exchange.connection.limits();
    for _ in 0..=MAX_INFORMATIONAL {
        let head = read_head(incoming, server, limits.response).await?;
        let response = Response::parse(&head, request.method, request.upgrade).map_err(malformed)?;
        if response.informational() {
            // A client of version 1.0 knows no informational responses (RFC 9110, section 15.2).
            if request.version == Version::Http11 {
                let rewrite = rewrite(exchange, &response)?;
                let head = rewritten(rewrite.as_ref(), response.forwarded(Persistence::KeepAlive))?;
                write(client, &head, limits.body).await?;
            }
            continue;
        }
        if request.version == Version::Http10 && response.framing == Framing::Chunked {
            return Err(malformed(HeadError::TransferEncoding));
        }
        let address = exchange.candidate.address.ip();
        judge::response(exchange.snapshot, exchange.subject, address, response.status, || response.headers())
            .map_err(Lost::Refused)?;
        let mut rewrite = rewrite(exchange, &response)?;
        let persistence = match &rewrite {
            Some(rewrite) if rewrite.until_close() => Persistence::Close,
            _ => client_persistence(exchange, progress, &response),
        };
        let mut head = rewritten(rewrite.as_ref(), response.forwarded(persistence))?;
        let mut rest = Body::new(response.framing);
        if rewrite.is_none() && response.upgrade == Upgrade::None {
            rest.received(incoming, &mut head).map_err(malformed)?;
        }
        exchange.entry.answered(response.status);
        exchange.allowed();
        progress.answered.store(true, Ordering::Relaxed);
        write(client, &head, limits.body).await?;
        if response.upgrade == Upgrade::WebSocket {
            return Ok(Received::Switched);
        }
        let forwarded = match &mut rewrite {
            Some(rewrite) => rewrite.forward(response.framing, incoming, server, client, limits.body).await,
            None => rest.forward(incoming, server, client, limits.body).await,
        };
        return match forwarded {
            Ok(()) => Ok(Received::Response { client: persistence, upstream: response.persistence }),
            Err(BodyError::Write(_) | BodyError::WriteTimeout) => Err(Lost::ClientGone),
            Err(BodyError::Malformed(error)) => Err(malformed(error)),
            Err(BodyError::Stopped(stopped)) => Err(Lost::Refused(stopped.refusal())),
            Err(BodyError::Ended | BodyError::Read(_) | BodyError::ReadTimeout) => Err(Lost::Cut),
        };
    }
    Err(malformed(HeadError::Unexpected))
}

/// How a response is passed on without the secrets that went out, if any did.
fn rewrite<'e>(exchange: &Exchange<'e>, response: &Response<'_>) -> Result<Option<Rewrite<'e>>, Lost> {
    let of = |redaction| Rewrite::of(redaction, response, exchange.request.version);
    exchange.redaction.map(of).transpose().map_err(Lost::Refused)
}

fn rewritten(rewrite: Option<&Rewrite<'_>>, forwarded: Vec<u8>) -> Result<Vec<u8>, Lost> {
    match rewrite {
        Some(rewrite) => rewrite.head(&forwarded).map_err(malformed),
        None => Ok(forwarded),
    }
}

/// Whether the client's connection goes on after this response.
fn client_persistence(exchange: &Exchange<'_>, progress: &Progress, response: &Response<'_>) -> Persistence {
    let request = exchange.request;
    // A client that waits for a 100 and gets its answer at once may send the body or not: nobody can tell where its next
    // request would begin (RFC 9110, section 10.1.1).
    let undecided = request.expects_continue && !progress.sent.load(Ordering::Relaxed);
    let close = request.persistence == Persistence::Close
        || response.framing == Framing::UntilClose
        || response.version == Version::Http10
        || undecided
        || *exchange.connection.shutdown.borrow();
    if close { Persistence::Close } else { Persistence::KeepAlive }
}

async fn read_head(
    incoming: &mut Incoming,
    server: &mut (impl AsyncRead + Unpin),
    patience: Duration,
) -> Result<Vec<u8>, Lost> {
    let mut end = EndOfHead::default();
    let whole = async {
        loop {
            match end.find(incoming.unread()).map_err(malformed)? {
                Some(length) => return Ok(incoming.take(length)),
                None => match incoming.fill(server).await {
                    Ok(1..) => {}
                    Ok(_) if incoming.unread().is_empty() => {
                        return Err(unreachable("the server closed the connection without an answer"));
                    }
                    Ok(_) => return Err(malformed(HeadError::StatusLine)),
                    Err(error) => return Err(broken(&error)),
                },
            }
        }
    };
    timeout(patience, whole).await.unwrap_or_else(|_| Err(Lost::Refused(Refusal::of(Reason::UpstreamTimeout))))
}

async fn write(client: &mut (impl AsyncWrite + Unpin), bytes: &[u8], patience: Duration) -> Result<(), Lost> {
    match timeout(patience, body::send(client, bytes)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Lost::ClientGone),
    }
}

fn malformed(error: HeadError) -> Lost {
    Lost::Refused(Refusal::because(Reason::UpstreamMalformed, error))
}

/// A server that says no in TLS does so after the handshake, as we see it, if it wants a certificate of ours (RFC 8446,
/// section 4.4.2.4).
fn broken(error: &io::Error) -> Lost {
    match tls(error) {
        Some(error) => Lost::Refused(Refusal::because(Reason::UpstreamHandshakeFailed, error)),
        None => unreachable(&error.to_string()),
    }
}

fn unreachable(detail: &str) -> Lost {
    Lost::Refused(Refusal::because(Reason::UpstreamUnreachable, detail))
}
