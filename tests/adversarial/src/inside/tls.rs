//! A TLS client that believes everything: whom it speaks to is seen from outside.

use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use super::steps::first_line;
use super::{Inside, OPENING, guest, hear};
use crate::technique::Tls;

#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// TLS with a server that is believed, whoever it is.
pub(crate) type Stream = StreamOwned<ClientConnection, TcpStream>;

/// How hands are shaken, with these protocols on offer.
pub(super) fn config(alpn: &[&str]) -> io::Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)));
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(config)
}

/// Shakes hands over a connection.
pub(super) fn client(socket: TcpStream, names: &Tls) -> io::Result<Stream> {
    shake(socket, names.sni, Arc::new(config(names.alpn)?))
}

fn shake(mut socket: TcpStream, name: &'static str, config: Arc<ClientConfig>) -> io::Result<Stream> {
    let name = ServerName::try_from(name).map_err(io::Error::other)?;
    let mut connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
    socket.set_read_timeout(Some(OPENING))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket)?;
    }
    Ok(StreamOwned::new(connection, socket))
}

impl Inside {
    /// Asks the proxy for a tunnel with these bytes.
    ///
    /// # Errors
    /// When it opens none: what it says instead.
    pub(crate) fn tunnel(&self, head: &[u8]) -> io::Result<TcpStream> {
        let mut socket = self.connect(self.proxy())?;
        socket.write_all(&guest::authorised(head.to_vec()))?;
        let answer = hear(&mut &socket, &socket)?;
        if !answer.starts_with(b"HTTP/1.1 2") && !answer.starts_with(b"HTTP/1.0 2") {
            return Err(io::Error::other(format!("no tunnel: {}", first_line(&answer))));
        }
        socket.set_read_timeout(Some(OPENING))?;
        Ok(socket)
    }

    /// Shakes hands in such a tunnel.
    ///
    /// # Errors
    /// When there is no tunnel, or nobody in it to shake hands with.
    pub(crate) fn greet(&self, head: &[u8], names: &Tls) -> io::Result<Stream> {
        client(self.tunnel(head)?, names)
    }

    /// The same under this name and with a memory of earlier handshakes.
    ///
    /// # Errors
    /// The same.
    pub(crate) fn resume(&self, head: &[u8], name: &'static str, memory: &Arc<ClientConfig>) -> io::Result<Stream> {
        shake(self.tunnel(head)?, name, Arc::clone(memory))
    }

    /// What comes back.
    ///
    /// # Errors
    /// When nothing does.
    pub(crate) fn answer(&self, stream: &mut Stream) -> io::Result<Vec<u8>> {
        let socket = stream.sock.try_clone()?;
        let heard = hear(stream, &socket)?;
        self.search("an answer", &heard);
        Ok(heard)
    }
}
