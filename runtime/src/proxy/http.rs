//! Serves the HTTP/1.1 requests of one connection, each judged by itself, one after the other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use outcall_schema::host::Host;
use outcall_schema::layer::Layer;
use outcall_schema::reason::Reason;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::body::{self, Body, BodyError, Kept};
use super::connection::{Connection, last_words};
use super::enrich::Prepared;
use super::entry::Entry;
use super::exchange::{self, Ended, Exchange, Stream, Upstream};
use super::fields::{EndOfHead, Framing, HeadError};
use super::incoming::Incoming;
use super::inside::{self, Greeted, Inside};
use super::judge::{self, Asked, BodyText, Greeting, Kind, Refusal, Subject};
use super::request::{Form, Persistence, Request};
use super::seen::{Content, Seen};
use super::upstream::{self, Candidate, Found};
use super::{enrich, refuse, tunnel, verified};
use crate::intercept::upstream::Protocol;
use crate::snapshot::Snapshot;

/// What asks a waiting client for its body (RFC 9110, section 15.2.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The longest body that is sent in one piece with its head, in bytes.
const SHORT_BYTES: usize = 16 << 10;

/// How long the end of a connection may take to be said.
const GOODBYE: Duration = Duration::from_secs(1);

/// Serves requests until the connection ends. The next one is not read before the answer to the one before is complete;
/// what a client sends ahead waits in a bounded buffer, and then in the kernel's.
pub(super) async fn serve(connection: &mut Connection, stream: &mut TcpStream, incoming: Incoming) {
    let greeted = {
        let (reader, writer) = stream.split();
        let session = Session { connection: &mut *connection, reader, writer, incoming, upstream: None, inside: None };
        session.run().await
    };
    if let Some(greeted) = greeted {
        inside::serve(connection, stream, *greeted).await;
    }
}

/// Serves the requests inside a TLS connection that was terminated, likewise.
pub(super) async fn inside(
    connection: &mut Connection,
    reader: impl AsyncRead + Unpin,
    writer: impl AsyncWrite + Unpin,
    inside: Inside,
) {
    let incoming = Incoming::default();
    let session = Session { connection, reader, writer, incoming, upstream: None, inside: Some(inside) };
    // A CONNECT inside is refused, so nothing within is ever to be looked into.
    let _ = session.run().await;
}

/// What comes after a request.
enum Next {
    /// Another one.
    Request,
    /// Nothing.
    End,
    /// The connection ends with these words.
    Words(Vec<u8>),
    /// It carries TLS from here on, which is to be looked into.
    Inside(Box<Greeted>),
}

/// What was received instead of, or as, a head.
enum Head {
    Whole(Vec<u8>),
    Refused(Refusal),
    /// The client is done, or we are.
    Over,
}

struct Session<'a, R, W> {
    connection: &'a mut Connection,
    reader: R,
    writer: W,
    incoming: Incoming,
    /// The connection that the last request in the clear went out on, if it can take another.
    upstream: Option<Upstream>,
    /// What the TLS connection around the requests is for, if there is one.
    inside: Option<Inside>,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Session<'_, R, W> {
    /// Serves requests until the connection ends or carries something else.
    async fn run(mut self) -> Option<Box<Greeted>> {
        let mut first = true;
        loop {
            let next = match self.head(first).await {
                Head::Whole(head) => {
                    self.connection.context.audit.room().await;
                    self.request(&head).await
                }
                Head::Refused(refusal) => self.unreadable(&refusal),
                Head::Over => {
                    // Inside TLS this says that nothing was cut off. Whoever does not listen misses nothing.
                    let _ = timeout(GOODBYE, self.writer.shutdown()).await;
                    return None;
                }
            };
            match next {
                Next::Request => first = false,
                Next::End => return None,
                Next::Words(words) => {
                    last_words(&mut self.reader, &mut self.writer, &words).await;
                    return None;
                }
                Next::Inside(greeted) => return Some(greeted),
            }
        }
    }

    /// Waits for a request and reads its head.
    async fn head(&mut self, first: bool) -> Head {
        let limits = self.connection.limits();
        let patience = if first { limits.head } else { limits.keep_alive };
        if self.incoming.unread().is_empty() {
            let received = tokio::select! {
                received = timeout(patience, self.incoming.fill(&mut self.reader)) => received,
                _ = self.connection.shutdown.wait_for(|stop| *stop) => return Head::Over,
            };
            if !matches!(received, Ok(Ok(1..))) {
                return Head::Over;
            }
        }
        let deadline = Instant::now() + self.connection.limits().head;
        let mut end = EndOfHead::default();
        loop {
            match end.find(self.incoming.unread()) {
                Ok(Some(length)) => return Head::Whole(self.incoming.take(length)),
                Ok(None) => {}
                Err(error) => return Head::Refused(ambiguous(error)),
            }
            match timeout_at(deadline, self.incoming.fill(&mut self.reader)).await {
                Ok(Ok(1..)) => {}
                Ok(_) => return Head::Over,
                Err(_) => return Head::Refused(Refusal::of(Reason::AgentTimeout)),
            }
        }
    }

    /// Refuses what is no request, and ends the connection: where the next one would begin is not known.
    fn unreadable(&self, refusal: &Refusal) -> Next {
        let snapshot = self.connection.snapshot();
        match &self.inside {
            Some(inside) => inside.unreadable(self.connection, &snapshot, Protocol::Http11, refusal),
            None => self.connection.unreadable(&snapshot, Layer::Http, refusal),
        }
        Next::Words(refuse::response(&snapshot.manifest, refusal, "", Persistence::Close))
    }

    async fn request(&mut self, head: &[u8]) -> Next {
        let request = match Request::parse(head) {
            Ok(request) => request,
            Err(error) => return self.unreadable(&ambiguous(error)),
        };
        let port = match self.port(&request) {
            Ok(port) => port,
            Err(refusal) => return self.unreadable(&refusal),
        };
        let entry = Entry::begin(Protocol::Http11);
        let snapshot = self.connection.snapshot();
        let host = request.authority.host.clone();
        let agent = Arc::clone(&self.connection.agent);
        if request.form == Form::Connect {
            let subject = Subject::new(&agent, host, port, Kind::Tunnel(Greeting::Pending));
            let client = (&mut self.reader, &mut self.writer);
            return match tunnel::connect(self.connection, client, &mut self.incoming, &snapshot, subject).await {
                Ok(Some(greeted)) => Next::Inside(Box::new(greeted)),
                Ok(None) => Next::End,
                Err((refusal, subject)) => self.refuse(&snapshot, &subject, &request, &entry, &refusal, true).await,
            };
        }
        let asked = asked(&request, self.connection, &snapshot);
        let kind = match &self.inside {
            Some(inside) => inside.kind(asked),
            None => Kind::Request(asked),
        };
        let mut subject = Subject::new(&agent, host, port, kind);
        let mut body = Body::new(request.framing).counted_by(entry.body_counter());
        let mut kept = Kept::default();
        match self.candidates(&snapshot, &mut subject, &request, &mut body, &mut kept).await {
            Ok(candidates) => self.forward(&snapshot, &subject, &request, &entry, candidates, (body, kept)).await,
            Err(Failed::Refused(refusal)) => {
                let refusal = judge::explained(&snapshot, &subject, refusal);
                self.refuse(&snapshot, &subject, &request, &entry, &refusal, body.done()).await
            }
            Err(Failed::Gone) => Next::End,
        }
    }

    /// The port a request goes to, if its form and its host go with the connection that it came on.
    fn port(&self, request: &Request<'_>) -> Result<u16, Refusal> {
        let ambiguous = |detail| Err(Refusal::because(Reason::AmbiguousRequest, detail));
        if let Some(inside) = &self.inside {
            return inside.port(request);
        }
        let port = request.authority.port.unwrap_or(80);
        let Some(destination) = self.connection.destination else {
            return match request.form {
                Form::Absolute | Form::Connect => Ok(port),
                Form::Origin => ambiguous("a proxy is asked with an absolute target or with CONNECT"),
            };
        };
        if request.form == Form::Connect {
            return ambiguous("CONNECT on a connection that was not meant for a proxy of ours");
        }
        if port != destination.port() {
            return ambiguous("the Host field names another port than the connection's");
        }
        match request.authority.host {
            Host::Ip(address) if address != destination.ip() => Err(Refusal::because(
                Reason::HostMismatch,
                "the Host field names another address than the connection's",
            )),
            Host::Ip(_) | Host::Name(_) => Ok(port),
        }
    }

    /// The addresses that the request may go to, each judged with all that it takes to judge it: the body is read here
    /// if the answer depends on it, and only then.
    async fn candidates(
        &mut self,
        snapshot: &Snapshot,
        subject: &mut Subject,
        request: &Request<'_>,
        body: &mut Body,
        kept: &mut Kept,
    ) -> Result<Vec<Candidate>, Failed> {
        judge::early(snapshot, subject)?;
        let addresses = upstream::addresses(self.connection, snapshot, subject).await?;
        if let Found::Allowed(candidates) = upstream::judge(snapshot, subject, &addresses)? {
            return Ok(candidates);
        }
        *kept = self.keep(request, body).await?;
        let (whole, codings, cap) = (body.done(), request.codings(), self.connection.limits().body_bytes);
        let as_it_is = whole && codings.as_ref().is_some_and(Vec::is_empty);
        let content = if as_it_is { kept.as_it_is() } else { Content::Bytes(kept.content()) };
        let seen = Seen { content, whole, codings, cap };
        Ok(seen.judge(&self.connection.share, snapshot, subject, &addresses).await?)
    }

    async fn keep(&mut self, request: &Request<'_>, body: &mut Body) -> Result<Kept, Failed> {
        if request.expects_continue && self.incoming.unread().is_empty() {
            body::send(&mut self.writer, CONTINUE).await.map_err(|_| Failed::Gone)?;
        }
        let limits = self.connection.limits();
        let room = self.connection.room().body(limits.body_bytes).await;
        let kept = body.keep(&mut self.incoming, &mut self.reader, limits.body_bytes, limits.body).await;
        kept.map(|kept| Kept { _room: room, ..kept }).map_err(|error| match refusal_of_body(&error) {
            Some(refusal) => Failed::Refused(refusal),
            None => Failed::Gone,
        })
    }

    async fn forward(
        &mut self,
        snapshot: &Snapshot,
        subject: &Subject,
        request: &Request<'_>,
        entry: &Entry,
        candidates: Vec<Candidate>,
        (mut body, kept): (Body, Kept),
    ) -> Next {
        let head = request.forwarded();
        // A short body goes out with its head, a long one is not copied for that.
        let raw = kept.raw.bytes();
        let (short, long) = raw.split_at(if raw.len() <= SHORT_BYTES { raw.len() } else { 0 });
        let prepared = enrich::prepare(self.connection, snapshot, subject, candidates, (&head, short)).await;
        let guarded = prepared.and_then(|prepared| {
            let guarding = body.guard(prepared.guarded.clone());
            guarding.map(|()| prepared).map_err(|error| Refusal::because(Reason::AmbiguousRequest, error))
        });
        let Prepared { candidates, first, redaction, .. } = match guarded {
            Ok(prepared) => prepared,
            Err(refusal) => return self.refuse(snapshot, subject, request, entry, &refusal, body.done()).await,
        };
        let nothing_more = body.done();
        if let Some(first) = candidates.first() {
            entry.passes(self.connection, snapshot, subject, *first);
        }
        loop {
            let (mut upstream, candidate, reused) = match self.upstream(snapshot, subject, &candidates).await {
                Ok(upstream) => upstream,
                Err(refusal) => return self.refuse(snapshot, subject, request, entry, &refusal, nothing_more).await,
            };
            let (connection, redaction) = (&*self.connection, redaction.as_ref());
            let first = [&first[..], long];
            let exchange = Exchange { connection, snapshot, subject, request, entry, candidate, first, redaction };
            let client = (&mut self.incoming, &mut self.reader, &mut self.writer);
            match exchange::run(&exchange, client, &mut upstream, &mut body).await {
                Ended::Complete { client: Persistence::KeepAlive, upstream: persistence } => {
                    if persistence == Persistence::KeepAlive {
                        self.keep_upstream(subject, upstream);
                    }
                    return Next::Request;
                }
                Ended::Complete { upstream: persistence, .. } => {
                    if persistence == Persistence::KeepAlive {
                        self.keep_upstream(subject, upstream);
                    }
                    return Next::Words(Vec::new());
                }
                Ended::Closed => return Next::End,
                // An idle connection that the server was closing just then: nothing was answered, and the request can
                // be sent again (RFC 9110, section 9.2.2).
                Ended::Unanswered(_) if reused && nothing_more && idempotent(request.method) => {}
                Ended::Unanswered(refusal) => {
                    return self.refuse(snapshot, subject, request, entry, &refusal, body.done()).await;
                }
            }
        }
    }

    /// A connection to one of the candidates: one that is kept for the same place, or a new one.
    async fn upstream(
        &mut self,
        snapshot: &Snapshot,
        subject: &Subject,
        candidates: &[Candidate],
    ) -> Result<(Upstream, Candidate, bool), Refusal> {
        if self.inside.is_some() {
            return verified::http11(self.connection, snapshot, subject, candidates).await;
        }
        if let Some(mut upstream) = self.upstream.take().filter(|upstream| upstream.is_for(subject))
            && upstream.usable().await
        {
            let same = |candidate: &&Candidate| candidate.address == upstream.address;
            if let Some(candidate) = candidates.iter().find(same) {
                return Ok((upstream, *candidate, true));
            }
        }
        let (stream, candidate) = upstream::dial(self.connection, snapshot, candidates).await?;
        Ok((Upstream::new(subject, candidate.address, Stream::Plain(stream)), candidate, false))
    }

    /// Keeps a connection that can take another request.
    fn keep_upstream(&mut self, subject: &Subject, upstream: Upstream) {
        match upstream.stream {
            _ if !upstream.incoming.unread().is_empty() => {}
            Stream::Tls(stream) => verified::keep(self.connection, subject, upstream.address, stream),
            Stream::Plain(_) => self.upstream = Some(upstream),
        }
    }

    /// Answers a refused request. The connection goes on if the whole request was read.
    async fn refuse(
        &mut self,
        snapshot: &Snapshot,
        subject: &Subject,
        request: &Request<'_>,
        entry: &Entry,
        refusal: &Refusal,
        whole: bool,
    ) -> Next {
        entry.refused(self.connection, snapshot, subject, refusal);
        let persistence = if whole { request.persistence } else { Persistence::Close };
        let words = refuse::response(&snapshot.manifest, refusal, request.method, persistence);
        match persistence {
            Persistence::Close => Next::Words(words),
            Persistence::KeepAlive => match body::send(&mut self.writer, &words).await {
                Ok(()) => Next::Request,
                Err(_) => Next::End,
            },
        }
    }
}

/// Why a request goes nowhere.
enum Failed {
    Refused(Refusal),
    /// The client went away.
    Gone,
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Failed {
        Failed::Refused(refusal)
    }
}

/// What conditions see of a request. A body that cannot fit the cap, or that there is none of, is known at once.
fn asked(request: &Request<'_>, connection: &Connection, snapshot: &Snapshot) -> Asked {
    let cap = connection.limits().body_bytes as u64;
    let (body_size, body) = match request.framing {
        Framing::None | Framing::Length(0) => (0, BodyText::Text(Arc::default())),
        Framing::Length(length) => {
            let body = if length > cap { BodyText::Null } else { BodyText::Pending };
            (i64::try_from(length).unwrap_or(i64::MAX), body)
        }
        Framing::Chunked | Framing::UntilClose => (-1, BodyText::Pending),
    };
    Asked {
        method: request.method.to_owned(),
        path: request.path.clone().into_owned(),
        headers: judge::headers(snapshot, || request.headers()),
        body_size,
        body,
    }
}

pub(super) fn ambiguous(error: HeadError) -> Refusal {
    let reason = if error == HeadError::TooLarge { Reason::HeadTooLarge } else { Reason::AmbiguousRequest };
    Refusal::because(reason, error)
}

/// What a body that did not come in whole is refused for; `None` where the client went away.
pub(super) fn refusal_of_body(error: &BodyError) -> Option<Refusal> {
    match error {
        BodyError::Malformed(_) => Some(Refusal::because(Reason::AmbiguousRequest, error)),
        BodyError::ReadTimeout => Some(Refusal::because(Reason::AgentTimeout, error)),
        BodyError::Stopped(stopped) => Some(stopped.refusal()),
        BodyError::Ended | BodyError::Read(_) | BodyError::Write(_) | BodyError::WriteTimeout => None,
    }
}

/// Methods that may be repeated (RFC 9110, section 9.2.2).
fn idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
}

impl Upstream {
    pub(super) fn new(subject: &Subject, address: SocketAddr, stream: Stream) -> Upstream {
        let host = subject.host().clone();
        Upstream { host, port: subject.port, address, stream, incoming: Incoming::default() }
    }

    fn is_for(&self, subject: &Subject) -> bool {
        self.host == *subject.host() && self.port == subject.port
    }

    /// Whether another request can be sent: the server has neither closed nor said anything unasked, which the next
    /// answer would be mistaken for.
    pub(super) async fn usable(&mut self) -> bool {
        self.incoming.unread().is_empty() && self.stream.is_silent().await
    }
}
