//! Connections that pass as tunnels because they could not be looked into.
//!
//! Invariant: only where the match program says that interception would have let every request pass, which an agent that
//! makes it fail gains nothing by. What is remembered of failures decides nothing.

use std::net::SocketAddr;
use std::sync::Arc;

use outcall_schema::reason::Reason;
use tokio::net::TcpStream;

use super::connection::Connection;
use super::judge::{self, Refusal, Subject};
use super::upstream::{self, Candidate};
use crate::intercept::Failures;
use crate::snapshot::Snapshot;

/// A connection that passes as a tunnel, and what failed.
pub(super) struct Fallen {
    pub(super) upstream: TcpStream,
    pub(super) candidate: Candidate,
    pub(super) failure: Refusal,
}

/// Whether a connection that this failed for may pass as a tunnel, as far as is known.
pub(super) fn is_possible(snapshot: &Snapshot, subject: &Subject, failure: &Refusal) -> bool {
    let of_interception = match failure.reason {
        Reason::CertGenFailed
        | Reason::ClientHandshakeFailed
        | Reason::UpstreamHandshakeFailed
        | Reason::AlpnMismatch => true,
        // Whatever else goes wrong is no matter of looking inside.
        _ => false,
    };
    of_interception && judge::may_fall_back(snapshot, subject)
}

/// Dials where the connection may go as a tunnel.
///
/// # Errors
/// What failed in the first place where it may go nowhere, else why nothing there can be reached.
pub(super) async fn tunnel(
    connection: &Connection,
    snapshot: &Snapshot,
    subject: &Subject,
    failure: Refusal,
) -> Result<Fallen, Refusal> {
    if !is_possible(snapshot, subject, &failure) {
        return Err(failure);
    }
    let candidates = candidates(connection, snapshot, subject).await;
    if candidates.is_empty() {
        return Err(failure);
    }
    let (upstream, candidate) = upstream::dial(connection, snapshot, &candidates).await?;
    Ok(Fallen { upstream, candidate, failure })
}

/// The addresses that the connection may go to as a tunnel, and so any request inside it too.
pub(super) async fn candidates(connection: &Connection, snapshot: &Snapshot, subject: &Subject) -> Vec<Candidate> {
    if !judge::may_fall_back(snapshot, subject) {
        return Vec::new();
    }
    let addresses = upstream::addresses(connection, snapshot, subject).await.unwrap_or_default();
    let judged = addresses.into_iter().filter_map(|address| {
        let rule = judge::falls_back_at(snapshot, subject, address)?;
        Some(Candidate { address: SocketAddr::new(address, subject.port), rule })
    });
    judged.collect()
}

/// Remembers that a client could not be shaken hands with where its next connection may pass, and says so.
pub(super) fn remember(
    connection: &Connection,
    snapshot: &Arc<Snapshot>,
    subject: &Subject,
    failure: Refusal,
) -> Refusal {
    let client = failure.reason == Reason::ClientHandshakeFailed;
    let Some(interception) = connection.context.interception.as_ref().filter(|_| client) else { return failure };
    if !is_possible(snapshot, subject, &failure) {
        return failure;
    }
    let cause = failure.detail.as_deref().unwrap_or_default();
    interception.failures.remember(&connection.agent, subject.host(), subject.port, snapshot, cause);
    let minutes = Failures::lasting().as_secs() / 60;
    let detail = format!("{cause}; for {minutes} minutes connections to it pass as tunnels");
    Refusal { detail: Some(detail), ..failure }
}

/// What failed lately where this connection goes.
pub(super) fn remembered(connection: &Connection, snapshot: &Arc<Snapshot>, subject: &Subject) -> Option<Refusal> {
    let failures = &connection.context.interception.as_ref()?.failures;
    let cause = failures.recall(&connection.agent, subject.host(), subject.port, snapshot)?;
    Some(Refusal::because(Reason::ClientHandshakeFailed, format_args!("lately, {cause}")))
}
