//! Connections that carry neither TLS nor HTTP: the network layer decides, by address and port.

use std::net::SocketAddr;

use outcall_schema::host::Host;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::connection::{Connection, reset};
use super::incoming::Incoming;
use super::judge::{Kind, Refusal, Subject};
use super::relay::relay;
use super::sniff::Carries;
use super::upstream::{self, Candidate, Found};
use super::{http, tunnel};
use crate::snapshot::Snapshot;

/// Serves a connection whose first bytes belong to another protocol.
pub(super) async fn serve(
    connection: &Connection,
    stream: &mut TcpStream,
    incoming: Incoming,
    destination: SocketAddr,
) {
    let Some((upstream, passed)) = open(connection, stream, destination).await else { return };
    copy(connection, stream, incoming, upstream, &passed).await;
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
                return tunnel::transparent(connection, stream, incoming, destination).await;
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
    copy(connection, stream, incoming, upstream, &passed).await;
}

/// What was judged and allowed.
struct Passed {
    snapshot: std::sync::Arc<Snapshot>,
    subject: Subject,
    candidate: Candidate,
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
        Found::Undecided => Err(Refusal::of(outcall_schema::reason::Reason::RawTraffic)),
    }
}

async fn copy(
    connection: &Connection,
    stream: &mut TcpStream,
    mut incoming: Incoming,
    mut upstream: TcpStream,
    passed: &Passed,
) {
    connection.allowed(&passed.snapshot, &passed.subject, passed.candidate.address, passed.candidate.rule);
    if upstream.write_all(&incoming.take_all()).await.is_err() {
        return reset(stream);
    }
    let (mut client, mut server) = (stream.split(), upstream.split());
    relay((&mut client.0, &mut client.1), (&mut server.0, &mut server.1), connection.limits().tunnel).await;
}
