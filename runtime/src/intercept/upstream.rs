//! TLS towards the servers of intercepted connections: verified always, and for the one name that was judged.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use outcall_schema::ca::{CaError, bundle};
use outcall_schema::host::Host;
use outcall_schema::reason::Reason;
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName};
use rustls::{AlertDescription, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Why nothing is known that a server could be verified against.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The file has no certificates, or something else beside them.
    #[error("{}: {error}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: CaError,
    },
    /// The file has a certificate that cannot stand for an authority.
    #[error("{}: {error}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        error: rustls::Error,
    },
    /// This system trusts nobody, and no file was named.
    #[error(
        "this system has no certificates of authorities, so no server could be verified: name a file with --upstream-ca"
    )]
    None,
    /// What rustls says.
    #[error("TLS could not be set up: {0}")]
    Tls(rustls::Error),
}

/// What servers are verified against: the certificates that this system trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` in the
/// caller's environment say otherwise), and those in `more`.
///
/// # Errors
/// See [`RootsError`]. A certificate of the system's that cannot be used is passed over, as other programs do.
pub fn roots(more: Option<&Path>) -> Result<RootCertStore, RootsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = more {
        let own = || path.to_owned();
        let text = std::fs::read(path).map_err(|error| RootsError::Read { path: own(), error })?;
        let found = bundle(&String::from_utf8_lossy(&text));
        for der in found.map_err(|error| RootsError::Unusable { path: own(), error })? {
            let added = roots.add(CertificateDer::from(der));
            added.map_err(|error| RootsError::Certificate { path: own(), error })?;
        }
    }
    if roots.is_empty() { Err(RootsError::None) } else { Ok(roots) }
}

/// A protocol that is spoken inside TLS, the same on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1 (RFC 9112)
    Http11,
    /// HTTP/2 (RFC 9113)
    H2,
}

impl Protocol {
    /// The name that it is registered under (RFC 7301, section 6).
    pub const fn name(self) -> &'static str {
        match self {
            Protocol::Http11 => "http/1.1",
            Protocol::H2 => "h2",
        }
    }

    /// The name in the handshake.
    pub const fn alpn(self) -> &'static [u8] {
        self.name().as_bytes()
    }
}

/// What is offered to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// This protocol alone.
    Only(Protocol),
    /// Either; the server chooses.
    Both,
}

/// Shakes hands with servers.
#[derive(Clone)]
pub struct Upstreams {
    http11: TlsConnector,
    h2: TlsConnector,
    both: TlsConnector,
}

impl std::fmt::Debug for Upstreams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstreams").finish_non_exhaustive()
    }
}

impl Upstreams {
    /// Servers that these roots vouch for.
    ///
    /// # Errors
    /// [`RootsError::Tls`].
    pub fn new(roots: RootCertStore) -> Result<Upstreams, RootsError> {
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(RootsError::Tls)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // A resumed session is not verified again, and it would tell the server that two connections belong together.
        config.resumption = Resumption::disabled();
        let connector = |protocols: &[Protocol]| {
            let mut config = config.clone();
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.alpn().to_vec()).collect();
            TlsConnector::from(Arc::new(config))
        };
        Ok(Upstreams {
            http11: connector(&[Protocol::Http11]),
            h2: connector(&[Protocol::H2]),
            both: connector(&[Protocol::H2, Protocol::Http11]),
        })
    }

    /// Shakes hands over a connection to a server, which must have a valid certificate for `host`, and says which protocol
    /// the server speaks. A server that chooses none speaks HTTP/1.1 (RFC 9110, section 4.2.2).
    ///
    /// # Errors
    /// What the connection or rustls says; [`reason`] tells which it is.
    pub async fn handshake(
        &self,
        stream: TcpStream,
        host: &Host,
        offer: Offer,
    ) -> io::Result<(TlsStream<TcpStream>, Protocol)> {
        let unnamed = |error: InvalidDnsNameError| io::Error::new(io::ErrorKind::InvalidInput, error);
        let name = match host {
            Host::Name(name) => ServerName::try_from(name.clone()).map_err(unnamed)?,
            Host::Ip(address) => ServerName::from(*address),
        };
        let connector = match offer {
            Offer::Only(Protocol::Http11) => &self.http11,
            Offer::Only(Protocol::H2) => &self.h2,
            Offer::Both => &self.both,
        };
        let stream = connector.connect(name, stream).await?;
        let protocol = if stream.get_ref().1.alpn_protocol() == Some(Protocol::H2.alpn()) {
            Protocol::H2
        } else {
            Protocol::Http11
        };
        match offer {
            Offer::Only(only) if only != protocol => {
                Err(io::Error::new(io::ErrorKind::InvalidData, rustls::Error::NoApplicationProtocol))
            }
            Offer::Only(_) | Offer::Both => Ok((stream, protocol)),
        }
    }
}

/// What a failed handshake with a server is called.
pub fn reason(error: &io::Error) -> Reason {
    match tls(error) {
        Some(
            rustls::Error::NoApplicationProtocol
            | rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol),
        ) => Reason::AlpnMismatch,
        _ => Reason::UpstreamHandshakeFailed,
    }
}

/// What rustls says, where it is behind an error of a connection.
pub fn tls(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}
