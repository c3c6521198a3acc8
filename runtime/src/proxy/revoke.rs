//! What passes and stays open is judged again whenever the policy changes, and ends where the new one would not allow it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use outcall_schema::reason::Reason;
use tokio::sync::watch;

use super::connection::Connection;
use super::judge::{self, Judged, Refusal, Subject};
use crate::snapshot::Snapshot;

/// Tells of each change after which open connections have to be judged again. The default tells of none.
#[derive(Debug, Clone, Default)]
pub struct Changes(Option<watch::Receiver<u64>>);

impl From<watch::Receiver<u64>> for Changes {
    fn from(changes: watch::Receiver<u64>) -> Changes {
        Changes(Some(changes))
    }
}

impl Changes {
    /// Waits until `over` gives something: asked now, and after each change.
    async fn until<T>(&self, mut over: impl FnMut() -> Option<T>) -> T {
        let Some(mut changes) = self.0.clone() else { return std::future::pending().await };
        loop {
            changes.mark_unchanged();
            if let Some(found) = over() {
                return found;
            }
            if changes.changed().await.is_err() {
                // Nobody is left who could change anything.
                return std::future::pending().await;
            }
        }
    }
}

/// Under which policy something that passed does not pass any more, and why.
#[derive(Debug)]
pub(super) struct Revoked {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) refusal: Refusal,
}

/// Something that passes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passing<'a> {
    /// The policy that let it pass.
    pub(super) snapshot: &'a Snapshot,
    pub(super) subject: &'a Subject,
    /// Where to.
    pub(super) address: SocketAddr,
    /// Whether it passes as a tunnel because it could not be looked into.
    pub(super) fallen: bool,
}

impl Passing<'_> {
    /// Why the policy that is in force now does not let it pass.
    fn refused(&self, connection: &Connection) -> Option<Revoked> {
        let snapshot = connection.snapshot();
        if std::ptr::eq(Arc::as_ptr(&snapshot), self.snapshot) {
            return None;
        }
        let refusal = still(&snapshot, self.subject, self.address.ip(), self.fallen).err()?;
        let detail = "it was open when the policy changed".to_owned();
        Some(Revoked { snapshot, refusal: Refusal { detail: Some(detail), ..refusal } })
    }
}

fn still(snapshot: &Snapshot, subject: &Subject, address: IpAddr, fallen: bool) -> Result<(), Refusal> {
    match judge::at_address(snapshot, subject, address)? {
        Judged::Allowed(_) => Ok(()),
        Judged::Inside(_) if fallen && judge::falls_back_at(snapshot, subject, address).is_some() => Ok(()),
        Judged::Inside(rule) => Err(Refusal::by(Reason::BlockedByRule, rule)),
        Judged::Undecided => Err(Refusal::of(Reason::NoRuleAllows)),
    }
}

impl Connection {
    /// Does `work` for as long as the policy in force lets it pass. What is not done then is dropped.
    pub(super) async fn while_allowed<T>(
        &self,
        passing: Passing<'_>,
        work: impl Future<Output = T>,
    ) -> Result<T, Revoked> {
        tokio::select! {
            biased;
            revoked = self.context.changes.until(|| passing.refused(self)) => Err(revoked),
            done = work => Ok(done),
        }
    }

    /// Waits until whoever was at the other end is no longer who is known to be there.
    pub(super) async fn disowned(&self) {
        let known = || self.context.identity.agent(self.peer) != self.agent;
        self.context.changes.until(|| known().then_some(())).await;
    }
}
