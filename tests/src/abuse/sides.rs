//! The proxy, the server behind it, and an agent that behaves.

use std::future::poll_fn;
use std::io::{self, Error, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use h2::client::SendRequest;
use outcall_compiler::Missing;
use outcall_runtime::audit::Audit;
use outcall_runtime::dial::Dialer;
use outcall_runtime::direct::Direct;
use outcall_runtime::dns::Resolver;
use outcall_runtime::identity::OneAgent;
use outcall_runtime::intercept::{Interception, LeafTtl, Leaves, Upstreams};
use outcall_runtime::proxy::{Context, Limits, Mode, serve};
use outcall_runtime::shares::{Shares, workers};
use outcall_runtime::snapshot::in_force;
use outcall_schema::ca::{Algorithm, Authority, Issuer, Wanted};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

const RULES: &str = r#"
version: "1"
rules:
  - id: judged
    action: allow
    condition: http.host == "127.0.0.1" && http.method == "PUT" && http.body != null && http.body.contains("please")
    egress: { mode: intercept, allow_private_ips: true, match_body: true }
  - id: others
    action: allow
    condition: http.host == "127.0.0.1" && http.method in ["GET", "POST"]
    egress: { mode: intercept, allow_private_ips: true }
"#;

/// In the directory: the authority of the servers and what they show, and the authority that agents trust.
const SERVER_CA: &str = "server-ca.pem";
const SERVER: &str = "server.pem";
const SERVER_KEY: &str = "server-key.pem";
const AGENTS_CA: &str = "agents-ca.pem";

/// Hears of a request.
pub(crate) type Tell = fn(&http::request::Parts);

/// What one big answer has.
const BIG: usize = 64 << 20;
/// How long the agent that behaves thinks between its requests.
const THINKS: Duration = Duration::from_millis(1);

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn trusting(file: &Path) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(Error::other)? {
        roots.add(certificate.map_err(Error::other)?).map_err(Error::other)?;
    }
    Ok(roots)
}

/// What a proxy has that looks inside TLS and allows what the rules do: for an agent that behaves.
///
/// # Errors
/// Something of it cannot be set up.
pub(crate) fn context(directory: &Path) -> io::Result<Context> {
    let rules = tempfile::tempdir()?;
    let file = rules.path().join("rules.yaml");
    std::fs::write(&file, RULES)?;
    let artifacts = outcall_compiler::compile(&[file], Missing::Refused).artifacts;
    for (name, bytes) in artifacts.ok_or_else(|| Error::other("the rules are not a policy"))?.files() {
        std::fs::write(rules.path().join(name), bytes)?;
    }
    let authority = outcall_runtime::load::Authority::Present;
    let snapshot = outcall_runtime::load::from_dir(rules.path(), authority, &outcall_runtime::load::Trust::unsigned())
        .map_err(Error::other)?;
    let wanted = Wanted { algorithm: Algorithm::EcdsaP256, domains: Vec::new(), now: SystemTime::now() };
    let issuer = Issuer::new(Authority::make(&wanted).map_err(Error::other)?).map_err(Error::other)?;
    std::fs::write(directory.join(AGENTS_CA), issuer.certificate().to_pem())?;
    let leaves = Leaves::new(issuer, LeafTtl::default()).map_err(Error::other)?;
    let upstreams = Upstreams::new(trusting(&directory.join(SERVER_CA))?).map_err(Error::other)?;
    Ok(Context {
        policy: in_force(snapshot),
        identity: Arc::new(OneAgent::named("calm")),
        audit: Audit::to_file(std::fs::OpenOptions::new().write(true).open("/dev/null")?)?,
        resolver: Resolver::new(Vec::new(), Dialer::new()),
        direct: Direct::default(),
        dialer: Dialer::new(),
        interception: Some(Interception::new(leaves, upstreams)),
        changes: outcall_runtime::proxy::Changes::default(),
        shares: Shares::default(),
        limits: Limits::default(),
    })
}

/// Serves two agents until the process ends, and writes where on standard output: first for the one that behaves, then for
/// the other.
///
/// # Errors
/// Something of it cannot be set up.
pub fn proxy(directory: &Path) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers()).enable_all().build()?;
    let context = context(directory)?;
    let hostile = Context { identity: Arc::new(OneAgent::named("hostile")), ..context.clone() };
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let mut serving = Vec::new();
    for context in [context, hostile] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        writeln!(io::stdout(), "{}", listener.local_addr()?)?;
        serving.push(runtime.spawn(serve(listener, Mode::Explicit, context, stopped.clone())));
    }
    for served in serving {
        runtime.block_on(served).map_err(Error::other)??;
    }
    Ok(())
}

/// Makes what servers show and what vouches for it.
///
/// # Errors
/// It cannot be made or written.
pub fn identity(directory: &Path) -> io::Result<()> {
    let (ca_key, key) = (KeyPair::generate().map_err(Error::other)?, KeyPair::generate().map_err(Error::other)?);
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    std::fs::write(directory.join(SERVER_CA), ca.self_signed(&ca_key).map_err(Error::other)?.pem())?;
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).map_err(Error::other)?;
    let leaf = leaf.signed_by(&key, &rcgen::Issuer::new(ca, ca_key)).map_err(Error::other)?;
    std::fs::write(directory.join(SERVER), leaf.pem())?;
    std::fs::write(directory.join(SERVER_KEY), key.serialize_pem())
}

/// Starts a server in HTTP/2 on a thread of its own; it ends with the process.
///
/// # Errors
/// Something of it cannot be set up.
pub fn server(directory: &Path) -> io::Result<SocketAddr> {
    server_telling(directory, |_| ())
}

/// The same, which tells of each request that arrives.
///
/// # Errors
/// The same.
pub(crate) fn server_telling(directory: &Path, tell: Tell) -> io::Result<SocketAddr> {
    let leaf = CertificateDer::from_pem_file(directory.join(SERVER)).map_err(Error::other)?;
    let key = PrivateKeyDer::from_pem_file(directory.join(SERVER_KEY)).map_err(Error::other)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![leaf], key)
        .map_err(Error::other)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    std::thread::spawn(move || {
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            loop {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                tokio::spawn(connection(acceptor.clone(), stream, tell));
            }
            #[expect(unreachable_code, reason = "says what the block would give")]
            io::Result::Ok(())
        })
    });
    Ok(address)
}

async fn connection(acceptor: TlsAcceptor, stream: TcpStream, tell: Tell) -> io::Result<()> {
    let stream = acceptor.accept(stream).await?;
    let mut connection = h2::server::handshake(stream).await.map_err(Error::other)?;
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        tokio::spawn(async move {
            let (parts, mut body) = request.into_parts();
            tell(&parts);
            while let Some(Ok(data)) = body.data().await {
                body.flow_control().release_capacity(data.len())?;
            }
            let mut sender = respond.send_response(http::Response::new(()), false)?;
            let mut left = if parts.uri.path() == "/big" { BIG } else { 2 };
            while left > 0 {
                sender.reserve_capacity(left.min(16 << 10));
                let Some(room) = poll_fn(|context| sender.poll_capacity(context)).await.transpose()? else { break };
                let part = room.min(left).min(16 << 10);
                left -= part;
                sender.send_data(Bytes::from(vec![b'x'; part]), left == 0)?;
            }
            Ok::<(), h2::Error>(())
        });
    }
    Ok(())
}

/// A connection on which a CONNECT to the server was answered.
pub(crate) async fn tunnel(proxy: SocketAddr, server: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(proxy).await?;
    stream.set_nodelay(true)?;
    stream.write_all(format!("CONNECT {server} HTTP/1.1\r\nHost: {server}\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await?);
    }
    if answer.starts_with(b"HTTP/1.1 200 ") { Ok(stream) } else { Err(Error::other("CONNECT is refused")) }
}

/// A connection in TLS with the server, or so it seems.
pub(super) async fn open(proxy: SocketAddr, server: SocketAddr, directory: &Path) -> io::Result<TlsStream<TcpStream>> {
    let stream = tunnel(proxy, server).await?;
    connector(directory)?.connect(ServerName::from(server.ip()), stream).await
}

/// An agent's half of handshakes: it trusts the proxy's authority and speaks HTTP/2.
///
/// # Errors
/// There is no such authority in the directory.
pub(crate) fn connector(directory: &Path) -> io::Result<TlsConnector> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(Error::other)?
        .with_root_certificates(trusting(&directory.join(AGENTS_CA))?)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// An agent that sends one request after the other.
pub struct Calm {
    runtime: tokio::runtime::Runtime,
    sender: SendRequest<Bytes>,
    server: SocketAddr,
}

/// Opens a connection for an agent that behaves.
///
/// # Errors
/// There is no way to the server.
pub fn calm(proxy: SocketAddr, server: SocketAddr, directory: &Path) -> io::Result<Calm> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let sender = runtime.block_on(async {
        let stream = open(proxy, server, directory).await?;
        let (sender, connection) = h2::client::handshake(stream).await.map_err(Error::other)?;
        tokio::spawn(connection);
        io::Result::Ok(sender)
    })?;
    Ok(Calm { runtime, sender, server })
}

impl Calm {
    /// Sends requests for so long; gives how long each took, and does something else after each.
    ///
    /// # Errors
    /// One was not answered with 200.
    pub fn requests(&self, lasts: Duration, mut each: impl FnMut()) -> io::Result<Vec<Duration>> {
        self.runtime.block_on(async {
            let (begun, mut times) = (Instant::now(), Vec::new());
            while begun.elapsed() < lasts {
                let asked = Instant::now();
                let status = self.request().await.map_err(Error::other)?;
                if status != 200 {
                    return Err(Error::other(format!("{status} for an agent that behaves")));
                }
                times.push(asked.elapsed());
                each();
                tokio::time::sleep(THINKS).await;
            }
            Ok(times)
        })
    }

    async fn request(&self) -> Result<u16, h2::Error> {
        let mut sender = self.sender.clone().ready().await?;
        let mut request = http::Request::new(());
        *request.uri_mut() = format!("https://{}/", self.server).parse().unwrap_or_default();
        let (response, _) = sender.send_request(request, true)?;
        let (parts, mut body) = response.await?.into_parts();
        while let Some(data) = body.data().await {
            body.flow_control().release_capacity(data?.len())?;
        }
        Ok(parts.status.as_u16())
    }
}
