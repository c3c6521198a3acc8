//! One connection of an agent: who it is, where it was going, and what is written of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use outcall_schema::decision::RuleIndex;
use outcall_schema::facts::{Fact, Facts};
use outcall_schema::layer::Layer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::context::{Context, Limits};
use super::fallback::Fallen;
use super::incoming::Incoming;
use super::judge::{self, Refusal, Subject};
use super::sniff::{Carries, sniff};
use super::{http, raw, tunnel};
use crate::audit::Record;
use crate::intercept::Room;
use crate::shares::Share;
use crate::snapshot::Snapshot;

/// How long a refused client may take to read why before its connection ends.
const LINGER: Duration = Duration::from_secs(2);

/// How much is thrown away of what a refused client is still sending.
const LINGER_BYTES: usize = 1 << 20;

/// One connection of an agent.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) context: Arc<Context>,
    pub(super) agent: Arc<str>,
    /// What everything that is done for the agent is charged to.
    pub(super) share: Arc<Share>,
    /// Where the connection was going before the kernel redirected it; `None` when it was meant for the proxy.
    pub(super) destination: Option<SocketAddr>,
    pub(super) shutdown: watch::Receiver<bool>,
    /// Who is at the other end.
    pub(super) peer: SocketAddr,
}

impl Connection {
    pub(super) fn limits(&self) -> &Limits {
        &self.context.limits
    }

    /// The policy for one request or tunnel, from beginning to end.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.context.policy.load_full()
    }

    /// What the agent has room for, over all its connections where those are looked into.
    pub(super) fn room(&self) -> Arc<Room> {
        self.context.interception.as_ref().map_or_else(Arc::default, |it| it.rooms.of(&self.agent))
    }

    /// Serves the connection until it ends, or until its agent is gone.
    pub(super) async fn run(self, stream: TcpStream) {
        let gone = self.clone();
        tokio::select! {
            () = gone.disowned() => {}
            () = self.serve(stream) => {}
        }
    }

    async fn serve(mut self, mut stream: TcpStream) {
        // A head and its body are written one after the other; waiting for more only delays them (RFC 9293, section 3.7.4).
        // Failing to say so costs speed alone.
        let _ = stream.set_nodelay(true);
        let mut incoming = Incoming::default();
        let Some(destination) = self.destination else {
            http::serve(&mut self, &mut stream, incoming).await;
            return;
        };
        if let Some(direct) = raw::Direct::of(&self, destination) {
            direct.serve(&self, &mut stream).await;
            return;
        }
        match self.first_bytes(&mut stream, &mut incoming).await {
            First::Carries(Carries::Tls) => tunnel::serve(&mut self, &mut stream, incoming, destination).await,
            First::Carries(Carries::Http) => http::serve(&mut self, &mut stream, incoming).await,
            First::Carries(Carries::Other) => raw::serve(&self, &mut stream, incoming, destination).await,
            First::Silent => raw::serve_silent(&mut self, &mut stream, incoming, destination).await,
            First::Gone => {}
        }
    }

    /// Waits for enough bytes to tell what the connection carries.
    async fn first_bytes(&self, stream: &mut TcpStream, incoming: &mut Incoming) -> First {
        match tokio::time::timeout(self.limits().silence, incoming.fill(stream)).await {
            // A client that sends nothing may still want to hear the server.
            Err(_) | Ok(Ok(0)) => return First::Silent,
            Ok(Err(_)) => return First::Gone,
            Ok(Ok(_)) => {}
        }
        First::Carries(self.recognise(stream, incoming).await)
    }

    /// Reads on until what was received tells what it is. What never tells, within the time that a head may take, is
    /// left to the HTTP parser to refuse: a request could still come of it.
    pub(super) async fn recognise(&self, stream: &mut TcpStream, incoming: &mut Incoming) -> Carries {
        let enough = async {
            loop {
                if let Some(carries) = sniff(incoming.unread()) {
                    return carries;
                }
                if !matches!(incoming.fill(stream).await, Ok(1..)) {
                    return Carries::Other;
                }
            }
        };
        tokio::time::timeout(self.limits().head, enough).await.unwrap_or(Carries::Http)
    }

    /// Writes the record of a refusal.
    pub(super) fn refused(&self, snapshot: &Snapshot, subject: &Subject, refusal: &Refusal) {
        self.context.audit.record(&self.refusal(snapshot, subject, refusal));
    }

    /// The record of a refusal.
    pub(super) fn refusal(&self, snapshot: &Snapshot, subject: &Subject, refusal: &Refusal) -> Record {
        let facts = subject.facts(None);
        found(Record::refusal(snapshot, subject.layer(), &facts, refusal.rule, refusal.reason), refusal)
    }

    /// Writes the record of a refusal before anything could be read.
    pub(super) fn unreadable(&self, snapshot: &Snapshot, layer: Layer, refusal: &Refusal) {
        let facts = Facts {
            agent_name: Fact::Known(&self.agent),
            network_ip: self.destination.map_or(Fact::Unknown, |to| Fact::Known(to.ip())),
            network_port: self.destination.map_or(Fact::Unknown, |to| Fact::Known(i64::from(to.port()))),
            ..Facts::default()
        };
        let record = Record::refusal(snapshot, layer, &facts, refusal.rule, refusal.reason);
        self.context.audit.record(&found(record, refusal));
    }

    /// Writes the record of what passes, to the address that it goes to: a line too where there is something to be warned of.
    pub(super) fn allowed(&self, snapshot: &Snapshot, subject: &Subject, address: SocketAddr, rule: RuleIndex) {
        self.context.audit.record(&self.passing(snapshot, subject, address, rule));
    }

    /// Writes the record of a connection that passes as a tunnel because it could not be looked into: always a line.
    pub(super) fn fell_back(&self, snapshot: &Snapshot, subject: &Subject, fallen: &Fallen) {
        let Fallen { candidate, failure, .. } = fallen;
        let record = self.passing(snapshot, subject, candidate.address, candidate.rule);
        let record = record.with("fallback", "tunnel").with("failure", failure.reason.code());
        self.context.audit.record(&Record { log: true, ..found(record, failure) });
    }

    /// The record of what passes.
    pub(super) fn passing(
        &self,
        snapshot: &Snapshot,
        subject: &Subject,
        address: SocketAddr,
        rule: RuleIndex,
    ) -> Record {
        let facts = subject.facts(Some(address.ip()));
        let record = Record::allowed(snapshot, subject.layer(), &facts, rule);
        match judge::unseen_body(snapshot, subject, Some(address.ip())) {
            Some(warning) => Record { log: true, ..record.with("warning", &warning) },
            None => record,
        }
    }
}

/// The record of a refusal with what was found.
pub(super) fn found(record: Record, refusal: &Refusal) -> Record {
    match &refusal.detail {
        Some(detail) => record.with("detail", detail),
        None => record,
    }
}

/// What came first on a redirected connection.
enum First {
    Carries(Carries),
    Silent,
    Gone,
}

/// Ends a connection with a reset, so that the client fails at once.
pub(super) fn reset(stream: &TcpStream) {
    // Should the kernel not know the option, the connection still ends, if more politely.
    let _ = stream.set_zero_linger();
}

/// Writes last words and closes. What the client is still sending is read and thrown away for a moment: closing with
/// unread bytes would reset the connection and could take the last words with it (RFC 9112, section 9.6).
pub(crate) async fn last_words(
    reader: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
    words: &[u8],
) {
    let goodbye = async {
        writer.write_all(words).await?;
        writer.shutdown().await?;
        let mut buffer = Vec::with_capacity(4096);
        let mut dropped = 0;
        while dropped < LINGER_BYTES {
            match reader.read_buf(&mut buffer).await? {
                0 => break,
                length => dropped += length,
            }
            buffer.clear();
        }
        std::io::Result::Ok(())
    };
    // Whoever does not listen loses the explanation and nothing else.
    let _ = tokio::time::timeout(LINGER, goodbye).await;
}
