//! Finds and dials the address that a subject may reach.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use outcall_schema::decision::RuleIndex;
use outcall_schema::host::Host;
use outcall_schema::reason::Reason;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::connection::Connection;
use super::judge::{self, Judged, Refusal, Subject};
use crate::dial::{DialError, Reach};
use crate::dns::ResolveError;
use crate::snapshot::Snapshot;

/// The most addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;

/// How long one attempt has the field to itself (RFC 8305, section 5).
const STAGGER: Duration = Duration::from_millis(250);

/// An address that was judged, and the rule that allows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) address: SocketAddr,
    pub(super) rule: RuleIndex,
}

/// What became of a name's addresses.
pub(super) enum Found {
    /// These may be dialled; never empty.
    Allowed(Vec<Candidate>),
    /// TLS is to be terminated because of this rule, and what is inside to be judged.
    Inside(RuleIndex),
    /// It depends on what is not known yet.
    Undecided,
}

/// The addresses of a subject's host. For a name the resolver asks the policy again before anything leaves the host.
pub(super) async fn addresses(
    connection: &Connection,
    snapshot: &Snapshot,
    subject: &Subject,
) -> Result<Vec<IpAddr>, Refusal> {
    let name = match subject.host() {
        Host::Ip(address) => return Ok(vec![*address]),
        Host::Name(name) => name,
    };
    match connection.context.resolver.resolve(snapshot, &subject.agent, name).await {
        Ok(addresses) if addresses.is_empty() => Err(Refusal::of(Reason::ResolutionFailed)),
        Ok(addresses) => Ok(addresses),
        Err(ResolveError::Refused { rule, reason }) => Err(Refusal { reason, rule, detail: None }),
        Err(ResolveError::Private { rule }) => {
            Err(Refusal { reason: Reason::PrivateAddress, rule: Some(rule), detail: None })
        }
        Err(error) => Err(Refusal::because(error.reason(), error)),
    }
}

/// Judges each address. The refusal is the first address's when all are refused.
pub(super) fn judge(snapshot: &Snapshot, subject: &Subject, addresses: &[IpAddr]) -> Result<Found, Refusal> {
    let mut allowed = Vec::new();
    let mut refusal = None;
    for address in addresses {
        match judge::at_address(snapshot, subject, *address) {
            Ok(Judged::Allowed(rule)) => {
                allowed.push(Candidate { address: SocketAddr::new(*address, subject.port), rule });
            }
            Ok(Judged::Undecided) => return Ok(Found::Undecided),
            // The first address that is not refused says whether it is a tunnel; those of the other kind are left out.
            Ok(Judged::Inside(rule)) if allowed.is_empty() => return Ok(Found::Inside(rule)),
            Ok(Judged::Inside(_)) => {}
            Err(refused) => refusal = refusal.or(Some(refused)),
        }
    }
    if allowed.is_empty() {
        return Err(refusal.unwrap_or(Refusal::of(Reason::ResolutionFailed)));
    }
    Ok(Found::Allowed(allowed))
}

/// Connects to the first candidate that answers, giving each a head start over the next.
pub(super) async fn dial(
    connection: &Connection,
    snapshot: &Snapshot,
    candidates: &[Candidate],
) -> Result<(TcpStream, Candidate), Refusal> {
    let mut attempts: JoinSet<(Candidate, Result<TcpStream, DialError>)> = JoinSet::new();
    let mut waiting = candidates.iter().copied().take(MAX_ADDRESSES);
    let mut failure = None;
    loop {
        let next = waiting.next();
        if let Some(candidate) = next {
            let dialer = connection.context.dialer.clone();
            let timeout = connection.limits().connect;
            let private = snapshot.egress(candidate.rule).is_some_and(|egress| egress.allow_private_ips);
            attempts.spawn(Arc::clone(&connection.share).run(async move {
                let reach = Reach::from_rule(private);
                (candidate, dialer.connect(candidate.address, reach, timeout).await)
            }));
        }
        let stagger = async {
            match next {
                Some(_) => tokio::time::sleep(STAGGER).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            joined = attempts.join_next() => match joined {
                Some(Ok((candidate, Ok(stream)))) => return Ok((stream, candidate)),
                Some(Ok((candidate, Err(error)))) => {
                    let rule = (error.reason() == Reason::PrivateAddress).then_some(candidate.rule);
                    let refusal = Refusal { rule, ..Refusal::because(unreachable(&error), &error) };
                    failure = failure.or(Some(refusal));
                }
                Some(Err(_)) => {}
                None => return Err(failure.unwrap_or(Refusal::of(Reason::UpstreamUnreachable))),
            },
            () = stagger => {}
        }
    }
}

/// A connection that is not made is an upstream that cannot be reached, however long that took.
fn unreachable(error: &DialError) -> Reason {
    match error.reason() {
        Reason::UpstreamTimeout => Reason::UpstreamUnreachable,
        reason => reason,
    }
}
