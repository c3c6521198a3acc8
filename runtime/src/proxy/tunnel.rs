//! TLS connections, asked for by CONNECT or redirected: which pass as they are, and which are looked into. The
//! ClientHello's server name must be the name that was judged.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use outcall_schema::decision::RuleIndex;
use outcall_schema::host::Host;
use outcall_schema::layer::Layer;
use outcall_schema::reason::Reason;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::connection::{Connection, last_words};
use super::fallback::{self, Fallen};
use super::hello::{Hello, HelloError, HelloReader};
use super::incoming::Incoming;
use super::inside::{self, Greeted};
use super::judge::{self, Greeting, Judged, Kind, Refusal, Subject};
use super::refuse;
use super::relay::relay;
use super::revoke::{Passing, Revoked};
use super::upstream::{self, Candidate, Found};
use crate::intercept::Leaf;
use crate::snapshot::Snapshot;

/// The answer to a CONNECT that passes (RFC 9110, section 9.3.6).
const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// Serves a redirected TLS connection until it ends.
pub(super) async fn serve(
    connection: &mut Connection,
    stream: &mut TcpStream,
    incoming: Incoming,
    destination: SocketAddr,
) {
    if let Some(greeted) = transparent(connection, stream, incoming, destination).await {
        inside::serve(connection, stream, greeted).await;
    }
}

/// Serves a redirected TLS connection, up to the point where it is to be looked into. The name is the ClientHello's, or without one the address it was going to; the
/// port is the one it was going to. The address is one that we resolve and judge, not the one the agent chose.
async fn transparent(
    connection: &Connection,
    stream: &mut TcpStream,
    mut incoming: Incoming,
    destination: SocketAddr,
) -> Option<Greeted> {
    let snapshot = connection.snapshot();
    let (mut reader, mut writer) = stream.split();
    let (hello, bytes) = match read_hello(connection, &mut reader, &mut incoming).await {
        Ok(read) => read,
        Err(Unread::Gone) => return None,
        Err(Unread::Refused(refusal)) => {
            connection.unreadable(&snapshot, Layer::Connect, &refusal);
            last_words(&mut reader, &mut writer, &refuse::alert(refusal.reason)).await;
            return None;
        }
    };
    let host = hello.server_name.clone().map_or(Host::Ip(destination.ip()), Host::Name);
    let subject = Subject::new(&connection.agent, host, destination.port(), Kind::Tunnel(greeting(hello)));
    match reach(connection, &snapshot, &subject).await {
        Ok(Way::Tunnel(upstream, candidate)) => {
            connection.allowed(&snapshot, &subject, candidate.address, candidate.rule);
            let passing = Passing { snapshot: &snapshot, subject: &subject, address: candidate.address, fallen: false };
            copy(connection, passing, (&mut reader, &mut writer), upstream, &bytes).await;
        }
        Ok(Way::Fallen(fallen)) => {
            connection.fell_back(&snapshot, &subject, &fallen);
            let address = fallen.candidate.address;
            let passing = Passing { snapshot: &snapshot, subject: &subject, address, fallen: true };
            copy(connection, passing, (&mut reader, &mut writer), fallen.upstream, &bytes).await;
        }
        Ok(Way::Inside(rule, leaf)) => return Some(Greeted { snapshot, subject, rule, leaf, bytes }),
        Err(refusal) => {
            connection.refused(&snapshot, &subject, &refusal);
            last_words(&mut reader, &mut writer, &refuse::alert(refusal.reason)).await;
        }
    }
    None
}

/// Serves a CONNECT for `host` and `port`. Gives a refusal that is still to be answered in HTTP; once the tunnel was
/// established there is none, and the connection has ended or is to be looked into.
///
/// Where the policy does not look at the ClientHello, the upstream is dialled before the answer, so that the client
/// learns of an unreachable one by status code. Where it does, the answer must come first, and what fails after it closes
/// the connection with a TLS alert.
pub(super) async fn connect(
    connection: &Connection,
    client: (&mut (impl AsyncRead + Unpin), &mut (impl AsyncWrite + Unpin)),
    incoming: &mut Incoming,
    snapshot: &Arc<Snapshot>,
    mut subject: Subject,
) -> Result<Option<Greeted>, (Refusal, Subject)> {
    let (reader, writer) = client;
    let prepared = match prepare(connection, snapshot, &subject).await {
        Ok(prepared) => prepared,
        Err(refusal) => return Err((refusal, subject)),
    };
    if writer.write_all(ESTABLISHED).await.is_err() {
        return Ok(None);
    }
    let opened = match read_hello(connection, reader, incoming).await {
        Err(Unread::Gone) => return Ok(None),
        Err(Unread::Refused(refusal)) => Err(refusal),
        Ok((hello, bytes)) => {
            let named = same_name(subject.host(), &hello);
            subject.kind = Kind::Tunnel(greeting(hello));
            match named {
                Ok(()) => settle(connection, snapshot, &subject, prepared).await.map(|way| (way, bytes)),
                // A server that is not spoken to need not wait until the client has heard why: `prepared` is gone.
                Err(refusal) => Err(refusal),
            }
        }
    };
    match opened {
        Ok((Way::Inside(rule, leaf), bytes)) => {
            return Ok(Some(Greeted { snapshot: Arc::clone(snapshot), subject, rule, leaf, bytes }));
        }
        Ok((Way::Tunnel(upstream, candidate), bytes)) => {
            connection.allowed(snapshot, &subject, candidate.address, candidate.rule);
            let passing = Passing { snapshot, subject: &subject, address: candidate.address, fallen: false };
            copy(connection, passing, (reader, writer), upstream, &bytes).await;
        }
        Ok((Way::Fallen(fallen), bytes)) => {
            connection.fell_back(snapshot, &subject, &fallen);
            let passing = Passing { snapshot, subject: &subject, address: fallen.candidate.address, fallen: true };
            copy(connection, passing, (reader, writer), fallen.upstream, &bytes).await;
        }
        Err(refusal) => {
            connection.refused(snapshot, &subject, &refusal);
            // An alert means nothing to a client that does not speak TLS.
            let alert = refuse::alert(refusal.reason);
            let words: &[u8] = if refusal.reason == Reason::NotTls { &[] } else { &alert };
            last_words(reader, writer, words).await;
        }
    }
    Ok(None)
}

/// What could be done before the ClientHello.
enum Prepared {
    /// The host's addresses, and the connection where no ClientHello can change the answer.
    Tunnel(Vec<IpAddr>, Option<(TcpStream, Candidate)>),
    /// It is to be looked into, whatever the ClientHello says; nothing was resolved. Without a certificate it may pass as
    /// a tunnel, which depends on the ClientHello.
    Inside(RuleIndex, Result<Arc<Leaf>, Refusal>),
}

/// What becomes of a connection whose ClientHello is known.
enum Way {
    Tunnel(TcpStream, Candidate),
    /// A tunnel although it was to be looked into.
    Fallen(Fallen),
    Inside(RuleIndex, Arc<Leaf>),
}

async fn prepare(connection: &Connection, snapshot: &Snapshot, subject: &Subject) -> Result<Prepared, Refusal> {
    if let Judged::Inside(rule) = judge::early(snapshot, subject)? {
        return prepare_inside(connection, snapshot, subject, rule).await;
    }
    let addresses = upstream::addresses(connection, snapshot, subject).await?;
    let dialled = match upstream::judge(snapshot, subject, &addresses)? {
        Found::Allowed(candidates) => Some(upstream::dial(connection, snapshot, &candidates).await?),
        Found::Inside(rule) => return prepare_inside(connection, snapshot, subject, rule).await,
        Found::Undecided => None,
    };
    Ok(Prepared::Tunnel(addresses, dialled))
}

async fn prepare_inside(
    connection: &Connection,
    snapshot: &Snapshot,
    subject: &Subject,
    rule: RuleIndex,
) -> Result<Prepared, Refusal> {
    match inside::leaf(connection, subject, rule).await {
        Err(refusal) if !fallback::is_possible(snapshot, subject, &refusal) => Err(refusal),
        leaf => Ok(Prepared::Inside(rule, leaf)),
    }
}

/// Judges again with the ClientHello known.
async fn settle(
    connection: &Connection,
    snapshot: &Arc<Snapshot>,
    subject: &Subject,
    prepared: Prepared,
) -> Result<Way, Refusal> {
    let (rule, leaf) = match prepared {
        Prepared::Inside(rule, leaf) => (rule, leaf),
        Prepared::Tunnel(addresses, dialled) => {
            let addresses = dialled.as_ref().map_or(addresses, |(_, candidate)| vec![candidate.address.ip()]);
            match (upstream::judge(snapshot, subject, &addresses)?, dialled) {
                (Found::Allowed(_), Some((stream, candidate))) => return Ok(Way::Tunnel(stream, candidate)),
                (Found::Allowed(candidates), None) => {
                    let (stream, candidate) = upstream::dial(connection, snapshot, &candidates).await?;
                    return Ok(Way::Tunnel(stream, candidate));
                }
                (Found::Inside(rule), _) => (rule, inside::leaf(connection, subject, rule).await),
                (Found::Undecided, _) => return Err(Refusal::of(Reason::NoRuleAllows)),
            }
        }
    };
    let speaks = match &subject.kind {
        Kind::Tunnel(greeting) => inside::speaks(greeting, rule),
        Kind::Request(_) | Kind::Inside(..) | Kind::Raw => Ok(()),
    };
    match leaf.and_then(|leaf| speaks.map(|()| leaf)) {
        Err(failure) => fallback::tunnel(connection, snapshot, subject, failure).await.map(Way::Fallen),
        Ok(leaf) => {
            let Some(failure) = fallback::remembered(connection, snapshot, subject) else {
                return Ok(Way::Inside(rule, leaf));
            };
            let failed = failure.reason;
            match fallback::tunnel(connection, snapshot, subject, failure).await {
                Ok(fallen) => Ok(Way::Fallen(fallen)),
                Err(refusal) if refusal.reason == failed => Ok(Way::Inside(rule, leaf)),
                Err(refusal) => Err(refusal),
            }
        }
    }
}

async fn reach(connection: &Connection, snapshot: &Arc<Snapshot>, subject: &Subject) -> Result<Way, Refusal> {
    let prepared = match judge::early(snapshot, subject)? {
        Judged::Inside(rule) => Prepared::Inside(rule, inside::leaf(connection, subject, rule).await),
        Judged::Allowed(_) | Judged::Undecided => {
            Prepared::Tunnel(upstream::addresses(connection, snapshot, subject).await?, None)
        }
    };
    settle(connection, snapshot, subject, prepared).await
}

fn greeting(hello: Hello) -> Greeting {
    Greeting::Known { server_name: hello.server_name.unwrap_or_default(), alpn: hello.alpn }
}

/// The server name must be the CONNECT's host. An address has no server name (RFC 6066, section 3).
fn same_name(host: &Host, hello: &Hello) -> Result<(), Refusal> {
    match (host, &hello.server_name) {
        (Host::Name(name), Some(server_name)) if name == server_name => Ok(()),
        (Host::Ip(_), None) => Ok(()),
        (Host::Name(_), None) => Err(Refusal::of(Reason::SniMissing)),
        (_, Some(server_name)) => {
            Err(Refusal::because(Reason::HostMismatch, format_args!("the ClientHello names {server_name}")))
        }
    }
}

/// Why there is no hello.
enum Unread {
    /// The client went away without a word.
    Gone,
    Refused(Refusal),
}

async fn read_hello(
    connection: &Connection,
    reader: &mut (impl AsyncRead + Unpin),
    incoming: &mut Incoming,
) -> Result<(Hello, Vec<u8>), Unread> {
    let deadline = Instant::now() + connection.limits().hello;
    let mut hello = HelloReader::default();
    let mut started = false;
    loop {
        let bytes = incoming.take_all();
        started |= !bytes.is_empty();
        match hello.push(&bytes) {
            Ok(Some(read)) => return Ok((read, hello.into_bytes())),
            Ok(None) => {}
            Err(error) => {
                let reason = if error == HelloError::NotTls { Reason::NotTls } else { Reason::MalformedHello };
                return Err(Unread::Refused(Refusal::because(reason, error)));
            }
        }
        match timeout_at(deadline, incoming.fill(reader)).await {
            Ok(Ok(1..)) => {}
            Ok(_) if started => {
                let refusal = Refusal::because(Reason::MalformedHello, "the connection ended within the ClientHello");
                return Err(Unread::Refused(refusal));
            }
            Ok(_) => return Err(Unread::Gone),
            Err(_) => return Err(Unread::Refused(Refusal::of(Reason::AgentTimeout))),
        }
    }
}

/// Passes everything on as it is, the bytes that were received first, for as long as the policy lets it.
pub(super) async fn copy(
    connection: &Connection,
    passing: Passing<'_>,
    client: (&mut (impl AsyncRead + Unpin), &mut (impl AsyncWrite + Unpin)),
    mut upstream: TcpStream,
    first: &[u8],
) {
    let copying = async {
        if upstream.write_all(first).await.is_ok() {
            let mut server = upstream.split();
            relay(client, (&mut server.0, &mut server.1), connection.limits().tunnel).await;
        }
    };
    if let Err(Revoked { snapshot, refusal }) = connection.while_allowed(passing, copying).await {
        connection.refused(&snapshot, passing.subject, &refusal);
    }
}
