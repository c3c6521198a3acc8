//! Packets that the kernel refused become records of the audit log.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use outcall_schema::decision::{Outcome, Verdict};
use outcall_schema::facts::{Fact, Facts};
use outcall_schema::layer::Layer;
use outcall_schema::reason::Reason;
use rustix::net::RecvFlags;
use tokio::io::unix::AsyncFd;

use crate::audit::{Audit, Record};
use crate::direct::Direct;
use crate::identity::Identity;
use crate::kernel::log::{DATAGRAM_BYTES, Refused, refused};
use crate::snapshot::{Policy, Snapshot};
use crate::sys::netlink;

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
        let agent = self.identity.agent(SocketAddr::new(packet.from, 0));
        let facts = Facts {
            network_ip: Fact::Known(packet.address),
            network_port: packet.port.map_or(Fact::Unknown, |port| Fact::Known(i64::from(port))),
            network_protocol: Fact::Known(&protocol),
            agent_name: Fact::Known(&agent),
            ..Facts::default()
        };
        let named = packet.port.and_then(|port| {
            self.direct.opens(&snapshot, &agent, SocketAddr::new(packet.address, port)).map(|opened| opened.rule)
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

    /// Writes one record for the packets that the kernel refused faster than it was asked to tell.
    pub fn rest(&self, snapshot: &Snapshot, counted: u64) {
        let rest = counted.saturating_sub(self.seen.load(Ordering::Relaxed));
        if rest > 0 {
            let own = SocketAddr::from(([0, 0, 0, 0], 0));
            let agent = self.identity.agent(own);
            let facts = Facts { agent_name: Fact::Known(&agent), ..Facts::default() };
            let record = Record::refusal(snapshot, Layer::Network, &facts, None, Reason::RawTraffic);
            self.audit.record(&record.with("packets", &rest.to_string()));
        }
    }
}
