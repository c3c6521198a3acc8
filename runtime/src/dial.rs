//! The one door out: every connection to an upstream is opened here, to an address that was checked.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use outcall_schema::addr::{Special, special};
use outcall_schema::reason::Reason;
use tokio::net::{TcpStream, UdpSocket};

use crate::meters::Meters;

/// Which addresses may be dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Ordinary public addresses alone.
    PublicOnly,
    /// Private and other special addresses too: the deciding rule says `allow_private_ips`.
    PrivateToo,
}

impl Reach {
    /// What a rule's `allow_private_ips` opens.
    pub const fn from_rule(allow_private_ips: bool) -> Reach {
        if allow_private_ips { Reach::PrivateToo } else { Reach::PublicOnly }
    }

    /// What stands against dialling `address`; `None` when nothing does.
    pub fn refuses(self, address: std::net::IpAddr) -> Option<Special> {
        special(address).filter(|_| self == Reach::PublicOnly)
    }
}

/// Why no connection was opened.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The address is special and the rule does not say `allow_private_ips`.
    #[error("{address} is not a public address ({special:?})")]
    Special {
        /// The address.
        address: SocketAddr,
        /// What it is.
        special: Special,
    },
    /// The address is IPv4 in IPv6's clothes: the kernel would connect to another address than the one that was judged.
    #[error("{0} is an IPv4-mapped address")]
    Mapped(SocketAddr),
    /// It is an address of this host's own, whatever its range, and the rule does not say `allow_private_ips`.
    #[error("{0} is an address of this host")]
    Own(SocketAddr),
    /// No answer in time.
    #[error("no connection to {address} within {timeout:?}")]
    Timeout {
        /// The address.
        address: SocketAddr,
        /// How long it was waited.
        timeout: Duration,
    },
    /// The network or the upstream refused.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

impl DialError {
    /// The reason code for the audit record.
    pub fn reason(&self) -> Reason {
        match self {
            DialError::Special { .. } | DialError::Mapped(_) | DialError::Own(_) => Reason::PrivateAddress,
            DialError::Timeout { .. } => Reason::UpstreamTimeout,
            DialError::Connect { .. } => Reason::UpstreamUnreachable,
        }
    }
}

/// Opens connections to upstreams.
#[derive(Debug, Clone, Default)]
pub struct Dialer {
    meters: Arc<Meters>,
}

impl Dialer {
    /// A dialer whose sockets live in the network namespace of the process.
    pub fn new() -> Dialer {
        Dialer::default()
    }

    /// One that says here how long connecting takes.
    #[must_use]
    pub fn measured(meters: &Arc<Meters>) -> Dialer {
        Dialer { meters: Arc::clone(meters) }
    }

    /// Where what takes time on the way out is measured.
    pub(crate) fn meters(&self) -> &Meters {
        &self.meters
    }

    /// Connects to an upstream over TCP.
    ///
    /// # Errors
    /// See [`DialError`]. A refused address costs no packet.
    pub async fn connect(&self, address: SocketAddr, reach: Reach, timeout: Duration) -> Result<TcpStream, DialError> {
        if is_mapped(address) {
            return Err(DialError::Mapped(address));
        }
        if let Some(special) = reach.refuses(address.ip()) {
            return Err(DialError::Special { address, special });
        }
        if reach == Reach::PublicOnly && is_own(address) {
            return Err(DialError::Own(address));
        }
        let begun = Instant::now();
        let stream = open(address, timeout).await?;
        self.meters.connect.observe(begun.elapsed());
        Ok(stream)
    }

    /// Connects to a DNS upstream over TCP. The operator chose its address, which is often a private one.
    ///
    /// # Errors
    /// See [`DialError`].
    pub(crate) async fn dns_stream(&self, upstream: SocketAddr, timeout: Duration) -> Result<TcpStream, DialError> {
        open(upstream, timeout).await
    }

    /// A UDP socket connected to a DNS upstream, on a fresh port that the kernel picks at random (RFC 5452, section 4.5).
    ///
    /// # Errors
    /// See [`DialError`].
    pub(crate) async fn dns_datagrams(&self, upstream: SocketAddr) -> Result<UdpSocket, DialError> {
        let failed = |source| DialError::Connect { address: upstream, source };
        let any = match upstream {
            SocketAddr::V4(_) => SocketAddr::from(([0, 0, 0, 0], 0)),
            SocketAddr::V6(_) => SocketAddr::from(([0_u16; 8], 0)),
        };
        let socket = UdpSocket::bind(any).await.map_err(failed)?;
        socket.connect(upstream).await.map_err(failed)?;
        Ok(socket)
    }
}

fn is_mapped(address: SocketAddr) -> bool {
    matches!(address, SocketAddr::V6(address) if address.ip().to_ipv4_mapped().is_some())
}

/// Whether the kernel would take a packet to this address in itself: then it would leave from that very address. Costs no
/// packet. Where there is no route, nothing is dialled either.
fn is_own(address: SocketAddr) -> bool {
    let any: SocketAddr = if address.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let source = std::net::UdpSocket::bind(any).and_then(|socket| {
        socket.connect(address)?;
        socket.local_addr()
    });
    source.is_ok_and(|source| source.ip() == address.ip())
}

async fn open(address: SocketAddr, timeout: Duration) -> Result<TcpStream, DialError> {
    let stream = tokio::time::timeout(timeout, TcpStream::connect(address))
        .await
        .map_err(|_| DialError::Timeout { address, timeout })?
        .map_err(|source| DialError::Connect { address, source })?;
    // Requests are small and written whole, so waiting for more only delays them. Failing to say so costs speed alone.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn special_addresses_are_refused_unless_the_rule_allows_them() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let refused = Dialer::new().connect(address, Reach::PublicOnly, SECOND).await;
        assert!(matches!(refused, Err(DialError::Special { special: Special::Loopback, .. })));
        Dialer::new().connect(address, Reach::PrivateToo, SECOND).await.unwrap();
        let mut arrived = 0;
        while tokio::time::timeout(Duration::from_millis(50), listener.accept()).await.is_ok() {
            arrived += 1;
        }
        assert_eq!(arrived, 1);
    }

    #[test]
    fn what_the_kernel_keeps_to_itself_is_its_own() {
        assert!(is_own("127.0.0.1:80".parse().unwrap()));
        assert!(!is_own("198.51.100.7:80".parse().unwrap()));
    }

    #[tokio::test]
    async fn a_mapped_address_is_never_dialled() {
        for text in ["[::ffff:8.8.8.8]:443", "[::ffff:127.0.0.1]:443"] {
            let refused = Dialer::new().connect(text.parse().unwrap(), Reach::PrivateToo, SECOND).await;
            assert!(matches!(refused, Err(DialError::Mapped(_))), "{text}");
        }
    }

    #[tokio::test]
    async fn a_closed_port_is_an_unreachable_upstream() {
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let refused = Dialer::new().connect(address, Reach::PrivateToo, SECOND).await.unwrap_err();
        assert_eq!(refused.reason(), Reason::UpstreamUnreachable);
    }
}
