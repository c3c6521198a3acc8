//! Connections that are carried as they are: the network layer decides, by address and port, on what is neither TLS nor
//! HTTP; a `direct_ip` rule on what goes where a name of its led.

use std::net::SocketAddr;

use outcall_schema::decision::Outcome;
use outcall_schema::facts::{Fact, Facts};
use outcall_schema::host::Host;
use outcall_schema::layer::Layer;
use outcall_schema::reason::Reason;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::connection::{Connection, found, reset};
use super::incoming::Incoming;
use super::judge::{Kind, Refusal, Subject};
use super::relay::relay;
use super::revoke::{Passing, Revoked};
use super::sniff::Carries;
use super::upstream::{self, Candidate, Found};
use super::{http, tunnel};
use crate::audit::Record;
use crate::direct::Opened;
use crate::snapshot::Snapshot;

/// Serves a connection whose first bytes belong to another protocol.
pub(super) async fn serve(
    connection: &Connection,
    stream: &mut TcpStream,
    incoming: Incoming,
    destination: SocketAddr,
) {
    let Some((upstream, passed)) = open(connection, stream, destination).await else { return };
    passed.record(connection);
    passed.copy(connection, stream, incoming, upstream).await;
}

/// Serves a connection whose client waits for the server. What the client says first is still looked at: a TLS or HTTP
/// client that takes its time is judged as such, on a connection of its own, and this upstream never hears of it.
pub(super) async fn serve_silent(
    connection: &mut Connection,
    stream: &mut TcpStream,
    mut incoming: Incoming,
    destination: SocketAddr,
) {
    let Some((mut upstream, passed)) = open(connection, stream, destination).await else { return };
    let mut greeting = Incoming::default();
    let client_first = tokio::select! {
        biased;
        received = incoming.fill(stream) => matches!(received, Ok(1..)),
        _ = greeting.fill(&mut upstream) => false,
        () = tokio::time::sleep(connection.limits().tunnel) => return,
    };
    if client_first {
        match connection.recognise(stream, &mut incoming).await {
            Carries::Tls => {
                drop(upstream);
                return tunnel::serve(connection, stream, incoming, destination).await;
            }
            Carries::Http => {
                drop(upstream);
                return http::serve(connection, stream, incoming).await;
            }
            Carries::Other => {}
        }
    } else if stream.write_all(greeting.unread()).await.is_err() {
        return;
    }
    passed.record(connection);
    passed.copy(connection, stream, incoming, upstream).await;
}

/// What was judged and allowed.
struct Passed {
    snapshot: std::sync::Arc<Snapshot>,
    subject: Subject,
    candidate: Candidate,
}

impl Passed {
    fn record(&self, connection: &Connection) {
        connection.allowed(&self.snapshot, &self.subject, self.candidate.address, self.candidate.rule);
    }

    /// Copies for as long as the policy lets it.
    async fn copy(&self, connection: &Connection, stream: &mut TcpStream, incoming: Incoming, upstream: TcpStream) {
        let Passed { snapshot, subject, candidate } = self;
        let passing = Passing { snapshot, subject, address: candidate.address, fallen: false };
        let copying = copy(connection, stream, incoming, upstream);
        if let Err(Revoked { snapshot, refusal }) = connection.while_allowed(passing, copying).await {
            connection.refused(&snapshot, subject, &refusal);
            reset(stream);
        }
    }
}

/// Asks the policy and dials; a refusal resets the connection at once.
async fn open(connection: &Connection, stream: &TcpStream, destination: SocketAddr) -> Option<(TcpStream, Passed)> {
    let snapshot = connection.snapshot();
    let subject = Subject::new(&connection.agent, Host::Ip(destination.ip()), destination.port(), Kind::Raw);
    match dial(connection, &snapshot, &subject, destination).await {
        Ok((upstream, candidate)) => Some((upstream, Passed { snapshot, subject, candidate })),
        Err(refusal) => {
            connection.refused(&snapshot, &subject, &refusal);
            reset(stream);
            None
        }
    }
}

async fn dial(
    connection: &Connection,
    snapshot: &Snapshot,
    subject: &Subject,
    destination: SocketAddr,
) -> Result<(TcpStream, Candidate), Refusal> {
    match upstream::judge(snapshot, subject, &[destination.ip()])? {
        Found::Allowed(candidates) => upstream::dial(connection, snapshot, &candidates).await,
        // Everything the network layer knows is known.
        Found::Undecided | Found::Inside(_) => Err(Refusal::of(Reason::RawTraffic)),
    }
}

async fn copy(connection: &Connection, stream: &mut TcpStream, mut incoming: Incoming, mut upstream: TcpStream) {
    if upstream.write_all(&incoming.take_all()).await.is_err() {
        return reset(stream);
    }
    let (mut client, mut server) = (stream.split(), upstream.split());
    relay((&mut client.0, &mut client.1), (&mut server.0, &mut server.1), connection.limits().tunnel).await;
}

/// A connection that goes where a name led that a `direct_ip` rule lets resolve. What it carries is nobody's business.
pub(super) struct Direct {
    snapshot: std::sync::Arc<Snapshot>,
    subject: Subject,
    destination: SocketAddr,
    opened: Opened,
}

impl Direct {
    /// The connection to `destination`, if such a rule is the first to say something about it: a rule before it on the
    /// address itself goes first, as it does in the kernel of a host.
    pub(super) fn of(connection: &Connection, destination: SocketAddr) -> Option<Direct> {
        let snapshot = connection.snapshot();
        let opened = connection.context.direct.opens(&snapshot, &connection.agent, destination)?;
        let subject = Subject::new(&connection.agent, Host::Ip(destination.ip()), destination.port(), Kind::Raw);
        match snapshot.program.decide(Layer::Network, &subject.facts(None)) {
            Outcome::Decided(verdict) if verdict.rule().is_none_or(|rule| rule >= opened.rule) => {
                Some(Direct { snapshot, subject, destination, opened })
            }
            Outcome::Decided(_) | Outcome::Undecided => None,
        }
    }

    /// Serves the connection until it ends.
    pub(super) async fn serve(&self, connection: &Connection, stream: &mut TcpStream) {
        match self.dial(connection).await {
            Ok(upstream) => {
                let rule = self.opened.rule;
                let record = Record::allowed(&self.snapshot, Layer::Network, &self.facts(), rule);
                connection.context.audit.record(&record);
                copy(connection, stream, Incoming::default(), upstream).await;
            }
            Err(refusal) => {
                let (rule, reason) = (refusal.rule, refusal.reason);
                let record = Record::refusal(&self.snapshot, Layer::Network, &self.facts(), rule, reason);
                connection.context.audit.record(&found(record, &refusal));
                reset(stream);
            }
        }
    }

    async fn dial(&self, connection: &Connection) -> Result<TcpStream, Refusal> {
        let candidate = Candidate { address: self.destination, rule: self.opened.rule };
        upstream::dial(connection, &self.snapshot, &[candidate]).await.map(|(upstream, _)| upstream)
    }

    /// What is written of it: the name was no part of the judgement of the connection, but says what it was for.
    fn facts(&self) -> Facts<'_> {
        Facts { network_hostname: Fact::Known(&self.opened.name), ..self.subject.facts(None) }
    }
}
