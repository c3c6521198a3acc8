//! Connections to the servers of intercepted requests: verified for the name that was judged, and shared between the
//! connections of one agent.

use std::net::SocketAddr;
use std::sync::Arc;

use outcall_schema::decision::RuleIndex;
use outcall_schema::host::Host;
use outcall_schema::reason::Reason;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::connection::Connection;
use super::exchange::{Stream, Upstream};
use super::judge::{self, Refusal, Subject};
use super::upstream::{Candidate, addresses, dial};
use crate::intercept::pool::{Place, Seat};
use crate::intercept::upstream::{Offer, Protocol, reason};
use crate::intercept::{Interception, Pool};
use crate::snapshot::Snapshot;

/// An HTTP/1.1 connection to one of the candidates, and whether it was used before.
pub(super) async fn http11(
    connection: &Connection,
    snapshot: &Snapshot,
    subject: &Subject,
    candidates: &[Candidate],
) -> Result<(Upstream, Candidate, bool), Refusal> {
    let pool = &interception(connection)?.pool;
    for candidate in candidates {
        let place = place(connection, subject, candidate.address);
        while let Some(stream) = pool.take(&place) {
            let mut upstream = Upstream::new(subject, candidate.address, Stream::Tls(stream));
            if upstream.usable().await {
                return Ok((upstream, *candidate, true));
            }
        }
    }
    let (stream, candidate) = dial(connection, snapshot, candidates).await?;
    let (stream, _) = handshake(connection, stream, subject.host(), Offer::Only(Protocol::Http11)).await?;
    Ok((Upstream::new(subject, candidate.address, Stream::Tls(Box::new(stream))), candidate, false))
}

/// A place for one stream on an HTTP/2 connection to one of the candidates.
pub(super) async fn h2(
    connection: &Connection,
    snapshot: &Snapshot,
    subject: &Subject,
    candidates: &[Candidate],
) -> Result<(Seat, Candidate), Refusal> {
    let pool = &interception(connection)?.pool;
    let kept = || {
        let place = |candidate: &Candidate| place(connection, subject, candidate.address);
        candidates.iter().find_map(|candidate| Some((pool.shared(&place(candidate))?, *candidate)))
    };
    if let Some(kept) = kept() {
        return Ok(kept);
    }
    let first = candidates.first().ok_or(Refusal::of(Reason::ResolutionFailed))?;
    let turn = pool.dialling(&place(connection, subject, first.address));
    let _turn = turn.lock().await;
    if let Some(kept) = kept() {
        return Ok(kept);
    }
    let (stream, candidate) = dial(connection, snapshot, candidates).await?;
    let (stream, _) = handshake(connection, stream, subject.host(), Offer::Only(Protocol::H2)).await?;
    let seat = share(connection, pool, &place(connection, subject, candidate.address), stream).await?;
    Ok((seat, candidate))
}

/// Learns which protocol the server of a connection speaks, before the client is told what we do: a server that speaks
/// HTTP/1.1 alone cannot be asked in HTTP/2. The connection is kept for the requests to come.
///
/// This dials before a request was judged, so only to an address at which some request could pass, and no more is said
/// there than the name. `None` where that cannot be known.
///
/// # Errors
/// Why there is no connection to an address where something could pass.
pub(super) async fn ahead(
    connection: &Connection,
    snapshot: &Snapshot,
    subject: &Subject,
    rule: RuleIndex,
    offer: Offer,
) -> Result<Option<(Protocol, Option<Seat>)>, Refusal> {
    let pool = &interception(connection)?.pool;
    let addresses = addresses(connection, snapshot, subject).await?;
    let passing = addresses.into_iter().filter(|address| judge::could_pass(snapshot, subject, *address, rule));
    let candidates: Vec<Candidate> =
        passing.map(|address| Candidate { address: SocketAddr::new(address, subject.port), rule }).collect();
    for candidate in &candidates {
        let place = place(connection, subject, candidate.address);
        let known = match offer {
            Offer::Only(Protocol::Http11) => pool.has_http11(&place).then_some(Protocol::Http11),
            Offer::Only(Protocol::H2) | Offer::Both => pool.protocol(&place),
        };
        if let Some(protocol) = known {
            return Ok(Some((protocol, pool.shared(&place).filter(|_| protocol == Protocol::H2))));
        }
    }
    if candidates.is_empty() {
        return Ok(None);
    }
    let (stream, candidate) = dial(connection, snapshot, &candidates).await?;
    let (stream, protocol) = handshake(connection, stream, subject.host(), offer).await?;
    let place = place(connection, subject, candidate.address);
    match protocol {
        Protocol::H2 => return Ok(Some((protocol, Some(share(connection, pool, &place, stream).await?)))),
        Protocol::Http11 if offer == Offer::Both => pool.give_chosen(&place, Box::new(stream)),
        Protocol::Http11 => pool.give(&place, Box::new(stream)),
    }
    Ok(Some((protocol, None)))
}

/// Keeps an HTTP/1.1 connection on which another request can be sent.
pub(super) fn keep(connection: &Connection, subject: &Subject, address: SocketAddr, stream: Box<TlsStream<TcpStream>>) {
    if let Some(interception) = &connection.context.interception {
        interception.pool.give(&place(connection, subject, address), stream);
    }
}

fn interception(connection: &Connection) -> Result<&Interception, Refusal> {
    connection.context.interception.as_ref().ok_or(Refusal::of(Reason::InterceptionUnavailable))
}

fn place(connection: &Connection, subject: &Subject, address: SocketAddr) -> Place {
    Place { agent: Arc::clone(&connection.agent), host: subject.host().clone(), address }
}

async fn handshake(
    connection: &Connection,
    stream: TcpStream,
    host: &Host,
    offer: Offer,
) -> Result<(TlsStream<TcpStream>, Protocol), Refusal> {
    let upstreams = &interception(connection)?.upstreams;
    match timeout(connection.limits().connect, upstreams.handshake(stream, host, offer)).await {
        Ok(shaken) => shaken.map_err(|error| Refusal::because(reason(&error), &error)),
        Err(_) => Err(Refusal::because(Reason::UpstreamHandshakeFailed, "the server was too slow")),
    }
}

async fn share(
    connection: &Connection,
    pool: &Pool,
    place: &Place,
    stream: TlsStream<TcpStream>,
) -> Result<Seat, Refusal> {
    match timeout(connection.limits().connect, pool.share(place, stream, &connection.share, connection.room())).await {
        // Nothing was read yet: the server closed when it saw how the handshake ended.
        Ok(seat) => seat.map_err(|error| Refusal::because(Reason::UpstreamHandshakeFailed, error)),
        Err(_) => Err(Refusal::because(Reason::UpstreamUnreachable, "the server was too slow")),
    }
}
