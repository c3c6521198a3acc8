//! Packets that the kernel refused become records of the audit log.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use outcall_schema::decision::{Outcome, Verdict};
use outcall_schema::facts::{Fact, Facts};
use outcall_schema::layer::Layer;
use outcall_schema::reason::Reason;
use rustix::net::RecvFlags;
use tokio::io::unix::AsyncFd;
use tokio::time::{MissedTickBehavior, interval};

use crate::audit::{Audit, Record};
use crate::direct::Direct;
use crate::identity::Identity;
use crate::kernel::link;
use crate::kernel::log::{DATAGRAM_BYTES, Refused, refused};
use crate::snapshot::{Policy, Snapshot};
use crate::sys::netlink;

/// How often it is looked for packets that have no record.
const ACCOUNTING: Duration = Duration::from_secs(1);

/// What leads out of the agents' network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The proxy alone, which carries TCP.
    Proxy,
    /// The kernel too, for what rules let straight out.
    Kernel,
}

/// Writes what the kernel refused to the audit log.
#[derive(Clone)]
pub struct Refusals {
    /// The policy in force.
    pub policy: Policy,
    /// Where it is written.
    pub audit: Audit,
    /// Who sent a packet, by its source.
    pub identity: Identity,
    /// What names opened.
    pub direct: Direct,
    /// The way out that there is.
    pub way: Way,
    /// Packets that have a record of their own.
    pub seen: Arc<AtomicU64>,
}

impl Refusals {
    /// Follows the log until the future is dropped. While the audit log has no room the kernel keeps what it has to say, as
    /// far as it can.
    ///
    /// # Errors
    /// What recvmsg(2) says.
    pub async fn follow(&self, log: &AsyncFd<OwnedFd>) -> io::Result<()> {
        let mut buffer = vec![0; DATAGRAM_BYTES];
        loop {
            let mut ready = log.readable().await?;
            loop {
                self.audit.room().await;
                if self.next(log.get_ref(), &mut buffer)?.is_none() {
                    break;
                }
            }
            ready.clear_ready();
        }
    }

    /// Writes whatever the kernel has to say now.
    ///
    /// # Errors
    /// What recvmsg(2) says.
    pub fn drain(&self, log: &OwnedFd) -> io::Result<()> {
        let mut buffer = vec![0; DATAGRAM_BYTES];
        while self.next(log, &mut buffer)?.is_some() {}
        Ok(())
    }

    /// Writes the next thing that the kernel has to say, if there is one.
    fn next(&self, log: &OwnedFd, buffer: &mut [u8]) -> io::Result<Option<()>> {
        match netlink::receive(log, buffer, RecvFlags::DONTWAIT) {
            Ok(count) => {
                refused(buffer.get(..count).unwrap_or_default()).for_each(|packet| self.record(&packet));
                Ok(Some(()))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            // Some were lost; the counter at the end knows how many.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Ok(Some(())),
            Err(error) => Err(error),
        }
    }

    fn record(&self, packet: &Refused) {
        self.seen.fetch_add(1, Ordering::Relaxed);
        let snapshot = self.policy.load_full();
        let protocol = packet.protocol_name();
        let agent = match (packet.frame, packet.from) {
            // Whatever it says of itself: where it came in.
            (Some(frame), _) => {
                let port = link::at(frame.port).ok().flatten();
                port.map(|port| self.identity.behind(&port.name)).unwrap_or_default()
            }
            (None, Some(from)) => self.identity.agent(SocketAddr::new(from, 0)),
            (None, None) => Arc::default(),
        };
        let facts = Facts {
            network_ip: packet.address.map_or(Fact::Unknown, Fact::Known),
            network_port: packet.port.map_or(Fact::Unknown, |port| Fact::Known(i64::from(port))),
            network_protocol: Fact::Known(&protocol),
            agent_name: Fact::Known(&agent),
            ..Facts::default()
        };
        if let Some(frame) = packet.frame {
            let reason = if frame.forged { Reason::ForgedSource } else { Reason::AgentToAgent };
            let mut record = Record::refusal(&snapshot, Layer::Network, &facts, None, reason);
            if let Some(from) = packet.from.filter(|_| frame.forged) {
                record = record.with("from", &from.to_string());
            }
            self.audit.record(&record);
            return;
        }
        let named = packet.address.zip(packet.port).and_then(|(address, port)| {
            self.direct.opens(&snapshot, &agent, SocketAddr::new(address, port)).map(|opened| opened.rule)
        });
        let (rule, allowed) = match (snapshot.program.decide(Layer::Network, &facts), named) {
            (Outcome::Decided(Verdict::Block(Some(rule))), named) if named.is_none_or(|named| rule < named) => {
                (Some(rule), false)
            }
            (Outcome::Decided(Verdict::Allow(rule)), named) => {
                (Some(named.map_or(rule, |named| named.min(rule))), true)
            }
            (Outcome::Decided(Verdict::Block(_) | Verdict::Intercept(_)) | Outcome::Undecided, named) => {
                (named, named.is_some())
            }
        };
        let record = match rule {
            // Allowed straight through the kernel, for which a sandbox has no way: only the proxy leads out.
            Some(rule) if allowed && protocol != "tcp" && self.way == Way::Proxy => {
                let detail = format!("a sandbox has no way out for {protocol}, only for TCP");
                Record::refusal(&snapshot, Layer::Network, &facts, Some(rule), Reason::RawTraffic)
                    .with("detail", &detail)
            }
            Some(rule) if !allowed => {
                Record::refusal(&snapshot, Layer::Network, &facts, Some(rule), Reason::BlockedByRule)
            }
            rule => Record::refusal(&snapshot, Layer::Network, &facts, rule, Reason::RawTraffic),
        };
        self.audit.record(&record);
    }

    /// Writes one record each second for packets that were counted a second ago and have none by now: the kernel tells of some
    /// hundred a second. `counted` gives how many it has refused so far.
    pub async fn account<C>(&self, counted: impl Fn() -> C)
    where
        C: Future<Output = io::Result<u64>>,
    {
        let mut ticks = interval(ACCOUNTING);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut account = Account::default();
        loop {
            ticks.tick().await;
            // Where our tables are not there just now, there is another tick.
            let Ok(count) = counted().await else { continue };
            let rest = account.rest(count, self.seen.load(Ordering::Relaxed));
            if rest > 0 {
                let snapshot = self.policy.load_full();
                self.audit.room().await;
                self.untold(&snapshot, rest);
            }
        }
    }

    /// Writes one record for the packets that have none, now that nothing is refused any more.
    pub fn rest(&self, snapshot: &Snapshot, counted: u64) {
        let rest = counted.saturating_sub(self.seen.load(Ordering::Relaxed));
        if rest > 0 {
            self.untold(snapshot, rest);
        }
    }

    fn untold(&self, snapshot: &Snapshot, packets: u64) {
        let own = SocketAddr::from(([0, 0, 0, 0], 0));
        let agent = self.identity.agent(own);
        let facts = Facts { agent_name: Fact::Known(&agent), ..Facts::default() };
        let record = Record::refusal(snapshot, Layer::Network, &facts, None, Reason::RawTraffic);
        self.audit.record(&record.with("packets", &packets.to_string()));
    }
}

/// Which packets have a record.
#[derive(Debug, Default)]
struct Account {
    /// What was counted at the last look.
    counted: u64,
    /// How many of them have no record of their own, and need none: from before it was looked, or told of together.
    settled: Option<i128>,
}

impl Account {
    /// How many packets were counted at the last look and have no record by now.
    fn rest(&mut self, counted: u64, seen: u64) -> u64 {
        let before = std::mem::replace(&mut self.counted, counted);
        let Some(settled) = self.settled.filter(|_| counted >= before) else {
            // The first look, or tables that were put back and count from the beginning.
            self.settled = Some(i128::from(counted) - i128::from(seen));
            return 0;
        };
        let rest = u64::try_from(i128::from(before) - i128::from(seen) - settled).unwrap_or(0);
        self.settled = Some(settled + i128::from(rest));
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_without_a_record_are_told_of_once_and_a_look_later() {
        let mut account = Account::default();
        assert_eq!(account.rest(7, 0), 0, "from before it was looked");
        assert_eq!(account.rest(12, 2), 0, "five came, of which two have a record");
        assert_eq!(account.rest(12, 4), 1, "the fifth has none after a second");
        assert_eq!(account.rest(12, 4), 0);
        assert_eq!(account.rest(512, 204), 0);
        assert_eq!(account.rest(512, 204), 300);
        assert_eq!(account.rest(512, 204), 0);
        assert_eq!(account.rest(3, 204), 0, "tables that were put back");
        assert_eq!(account.rest(5, 205), 0);
        assert_eq!(account.rest(5, 205), 1);
    }
}
