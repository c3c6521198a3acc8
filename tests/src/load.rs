//! A client of an intercepting proxy that does as little as it can itself, for measuring: CONNECT, TLS, then the same request
//! again and again over HTTP/1.1 or HTTP/2.

use std::future::poll_fn;
use std::io::{self, Error, ErrorKind};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use h2::client::SendRequest;
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::fixtures::upstream::header;

/// What is read at once.
const READ_BYTES: usize = 16 * 1024;

/// What requests are carried in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1.
    H1,
    /// HTTP/2.
    H2,
}

/// How a server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// By CONNECT through this proxy.
    Proxy(SocketAddr),
    /// With TLS straight to this address, whoever that is.
    Straight(SocketAddr),
}

/// Where connections go and what they trust.
#[derive(Clone)]
pub struct Route {
    via: Via,
    h1: TlsConnector,
    h2: TlsConnector,
}

impl Route {
    /// A way to servers, trusting the authorities in a PEM file alone. TLS 1.3 with AES-128-GCM over X25519 and nothing else, so
    /// that it costs the same whoever answers, and no resumption: each connection pays for its handshake.
    ///
    /// # Errors
    /// The file cannot be read, or rustls makes nothing of it.
    pub fn new(via: Via, authorities: &Path) -> io::Result<Route> {
        let provider = CryptoProvider {
            cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256],
            kx_groups: vec![aws_lc_rs::kx_group::X25519],
            ..aws_lc_rs::default_provider()
        };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(authorities).map_err(Error::other)? {
            roots.add(certificate.map_err(Error::other)?).map_err(Error::other)?;
        }
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        let speaking = |protocol: &[u8]| {
            let mut config = config.clone();
            config.alpn_protocols = vec![protocol.to_vec()];
            TlsConnector::from(Arc::new(config))
        };
        Ok(Route { via, h1: speaking(b"http/1.1"), h2: speaking(b"h2") })
    }

    /// Opens a connection to port 443 of `host`.
    ///
    /// # Errors
    /// In words: what the proxy answered, or what broke.
    pub async fn open(&self, protocol: Protocol, host: &str) -> io::Result<Client> {
        let stream = match self.via {
            Via::Straight(address) => connect(address).await?,
            Via::Proxy(address) => {
                let mut stream = connect(address).await?;
                let ask = format!("CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n");
                stream.write_all(ask.as_bytes()).await?;
                let answer = response(&mut stream, &mut Vec::new(), Body::None).await?;
                if answer != 200 {
                    return Err(Error::other(format!("CONNECT is answered with {answer}")));
                }
                stream
            }
        };
        let name = ServerName::try_from(host.to_owned()).map_err(Error::other)?;
        let connector = if protocol == Protocol::H1 { &self.h1 } else { &self.h2 };
        let stream = connector.connect(name, stream).await?;
        if protocol == Protocol::H1 {
            return Ok(Client::H1(Box::new(stream), Vec::with_capacity(READ_BYTES)));
        }
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(Error::other("does not speak HTTP/2 to clients"));
        }
        let (sender, connection) = h2::client::handshake(stream).await.map_err(Error::other)?;
        tokio::spawn(connection);
        Ok(Client::H2(sender))
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A request: GET, or POST where it has a body.
#[derive(Debug, Clone)]
pub struct Ask {
    head: Bytes,
    parts: http::Request<()>,
    body: Bytes,
}

impl Ask {
    /// For `https://HOST/PATH`, with this body.
    ///
    /// # Errors
    /// Host or path are none.
    pub fn new(host: &str, path: &str, body: &str) -> io::Result<Ask> {
        let method = if body.is_empty() { "GET" } else { "POST" };
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: outcall-load\r\n{length}\r\n");
        let parts = http::Request::builder()
            .method(method)
            .uri(format!("https://{host}{path}"))
            .header("user-agent", "outcall-load")
            .body(())
            .map_err(Error::other)?;
        Ok(Ask { head: head.into(), parts, body: Bytes::copy_from_slice(body.as_bytes()) })
    }
}

/// An open connection.
pub enum Client {
    /// HTTP/1.1, with room for what is read.
    H1(Box<TlsStream<TcpStream>>, Vec<u8>),
    /// One stream after the other of an HTTP/2 connection.
    H2(SendRequest<Bytes>),
}

impl Client {
    /// Another client of the same connection, if it takes several requests at a time.
    pub fn another(&self) -> Option<Client> {
        match self {
            Client::H1(..) => None,
            Client::H2(sender) => Some(Client::H2(sender.clone())),
        }
    }

    /// Sends a request and reads its response to the end; gives the status.
    ///
    /// # Errors
    /// What broke.
    pub async fn request(&mut self, ask: &Ask) -> io::Result<u16> {
        match self {
            Client::H1(stream, buffer) => {
                // The body goes out with the head, as far as the connection takes it in one piece.
                stream.write_all(&ask.head).await?;
                stream.write_all(&ask.body).await?;
                stream.flush().await?;
                response(stream, buffer, Body::ByLength).await
            }
            Client::H2(sender) => stream(sender, ask).await.map_err(Error::other),
        }
    }
}

/// What follows a head.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Body {
    None,
    ByLength,
}

/// Reads a response; gives its status. Nothing may follow it.
async fn response(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>, body: Body) -> io::Result<u16> {
    buffer.clear();
    let bad = |what: &str| Error::new(ErrorKind::InvalidData, what.to_owned());
    let mut whole = None;
    while whole.is_none_or(|whole| buffer.len() < whole) {
        buffer.reserve(READ_BYTES);
        if stream.read_buf(buffer).await? == 0 {
            return Err(bad("the connection ended before its response"));
        }
        if whole.is_none()
            && let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n")
        {
            let head = String::from_utf8_lossy(buffer.get(..end).unwrap_or_default());
            let length = match body {
                Body::None => 0,
                Body::ByLength => header(&head, "content-length")
                    .and_then(|length| length.parse().ok())
                    .ok_or_else(|| bad("a response without a length"))?,
            };
            whole = Some(end + 4 + length);
        }
    }
    if whole != Some(buffer.len()) {
        return Err(bad("more than a response"));
    }
    let status = buffer.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    status.ok_or_else(|| bad("no status"))
}

async fn stream(sender: &mut SendRequest<Bytes>, ask: &Ask) -> Result<u16, h2::Error> {
    poll_fn(|context| sender.poll_ready(context)).await?;
    let (response, mut sending) = sender.send_request(ask.parts.clone(), ask.body.is_empty())?;
    let mut left = ask.body.clone();
    while !left.is_empty() {
        sending.reserve_capacity(left.len());
        match poll_fn(|context| sending.poll_capacity(context)).await {
            Some(room) => {
                let part = left.split_to(room?.min(left.len()));
                sending.send_data(part, left.is_empty())?;
            }
            // The server answers without reading on.
            None => break,
        }
    }
    let (head, mut body) = response.await?.into_parts();
    while let Some(part) = body.data().await {
        let length = part?.len();
        body.flow_control().release_capacity(length)?;
    }
    Ok(head.status.as_u16())
}
