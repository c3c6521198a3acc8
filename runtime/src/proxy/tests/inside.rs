//! HTTP/1.1 inside TLS that was terminated: each request judged by itself, forwarded as it came.

use std::time::SystemTime;

use outcall_schema::ca::{Algorithm, Authority, Issuer, Wanted};
use proptest::prelude::*;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::intercept::{LeafTtl, Leaves, Upstreams};
use crate::secrets::Secrets;

/// What most tests run under: each rule tells requests apart by something that only shows inside.
pub(super) const RULES: &str = r#"rules:
  - { id: no-secret, action: block, condition: 'http.path.startsWith("/secret")' }
  - id: read
    action: allow
    condition: 'http.host == "a.example" && http.method in ["GET", "HEAD"]'
    egress: { mode: intercept, allow_private_ips: true }
  - id: marked
    action: allow
    condition: 'http.host == "a.example" && http.method == "POST" && "x-mark" in http.headers'
    egress: { mode: intercept, allow_private_ips: true }
  - id: said
    action: allow
    condition: 'http.host == "a.example" && http.method == "PUT" && http.body != null && http.body.contains("please")'
    egress: { mode: intercept, allow_private_ips: true, match_body: true }
"#;

/// A proxy that intercepts, the authority of the servers behind it, and what its clients trust.
pub(super) struct Inner {
    pub(super) world: World,
    pub(super) trusted: CertificateDer<'static>,
    /// What vouches for the servers.
    pub(super) servers_root: CertificateDer<'static>,
    servers: rcgen::Issuer<'static, KeyPair>,
}

impl Inner {
    pub(super) async fn new(rules: &str) -> Inner {
        Inner::with_limits(rules, Limits::default()).await
    }

    pub(super) async fn with_limits(rules: &str, limits: Limits) -> Inner {
        Inner::made(rules, limits, &[], Secrets::default()).await
    }

    /// With an authority that may speak for these domains alone.
    pub(super) async fn constrained(rules: &str, domains: &[&str]) -> Inner {
        Inner::made(rules, Limits::default(), domains, Secrets::default()).await
    }

    /// With these secrets for enrich rules.
    pub(super) async fn with_secrets(rules: &str, secrets: Secrets) -> Inner {
        Inner::made(rules, Limits::default(), &[], secrets).await
    }

    async fn made(rules: &str, limits: Limits, domains: &[&str], secrets: Secrets) -> Inner {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let mut roots = RootCertStore::empty();
        let servers_root = parameters.self_signed(&key).unwrap().der().clone();
        roots.add(servers_root.clone()).unwrap();
        let domains = domains.iter().map(|domain| (*domain).to_owned()).collect();
        let wanted = Wanted { algorithm: Algorithm::EcdsaP256, domains, now: SystemTime::now() };
        let issuer = Issuer::new(Authority::make(&wanted).unwrap()).unwrap();
        let trusted = CertificateDer::from(issuer.certificate().der().to_vec());
        let leaves = Leaves::new(issuer, LeafTtl::default()).unwrap();
        let interception = Interception::new(leaves, Upstreams::new(roots).unwrap()).with_secrets(secrets);
        let world = World::intercepting(rules, limits, Some(interception)).await;
        Inner { world, trusted, servers_root, servers: rcgen::Issuer::new(parameters, key) }
    }

    /// A server's configuration with a certificate that `change` has the last word on.
    pub(super) fn server(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut parameters);
        let leaf = parameters.signed_by(&key, &self.servers).unwrap();
        server_config(vec![leaf.der().clone()], &key)
    }

    /// A chain for this name and key.
    pub(super) fn signed(&self, name: &str, key: &KeyPair) -> Vec<CertificateDer<'static>> {
        let parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
        vec![parameters.signed_by(key, &self.servers).unwrap().der().clone()]
    }

    /// A server for `a.example` that answers each request with what `answer` makes of it.
    pub(super) async fn upstream(&self, answer: impl Fn(&str) -> String + Send + Sync + Clone + 'static) -> Upstream {
        serving(self.server("a.example", |_| {}), answer).await
    }

    pub(super) fn client_config(&self) -> ClientConfig {
        self.client_trusting(&self.trusted)
    }

    /// A client that insists on the server's own certificate.
    pub(super) fn pinned_config(&self) -> ClientConfig {
        self.client_trusting(&self.servers_root)
    }

    fn client_trusting(&self, root: &CertificateDer<'static>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(root.clone()).unwrap();
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }

    /// A connection on which a CONNECT was answered.
    pub(super) async fn tunnel(&self, host: &str, port: u16) -> TcpStream {
        let mut client = self.world.client().await;
        client.send(format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n")).await;
        assert_eq!(client.until("\r\n\r\n").await, "HTTP/1.1 200 Connection established\r\n\r\n");
        client.stream
    }

    /// A client inside TLS with `a.example`, which verified its certificate.
    pub(super) async fn open(&self, port: u16) -> Client<TlsStream<TcpStream>> {
        let stream = self.tunnel("a.example", port).await;
        Client::new(handshake(self.client_config(), "a.example", stream).await.unwrap())
    }
}

pub(super) fn server_config(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> ServerConfig {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap()
}

pub(super) async fn handshake(
    config: ClientConfig,
    name: &str,
    stream: TcpStream,
) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let shaken = TlsConnector::from(Arc::new(config)).connect(name, stream);
    tokio::time::timeout(PATIENCE, shaken).await.expect("a handshake in time")
}

/// A TLS server of one's own making.
pub(super) async fn serving(
    config: ServerConfig,
    answer: impl Fn(&str) -> String + Send + Sync + Clone + 'static,
) -> Upstream {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Upstream::start(Box::new(move |client, received| {
        let (acceptor, answer) = (acceptor.clone(), answer.clone());
        tokio::spawn(async move {
            if let Ok(stream) = acceptor.accept(client.stream).await {
                answer_each(Client::new(stream), &received, answer).await;
            }
        })
    }))
    .await
}

pub(super) fn get(port: u16, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a.example:{port}\r\n\r\n")
}

#[tokio::test]
async fn each_request_is_judged_by_what_is_inside_and_passes_byte_for_byte() {
    let inner = Inner::new(RULES).await;
    let upstream = inner.upstream(|_| OK.to_owned()).await;
    let port = upstream.port();
    let mut client = inner.open(port).await;
    let lines = format!("hOST: a.example:{port}\r\nx-Odd:  a \r\nX-oDD: b\r\n");
    let odd = format!("GET /x%2Fy//z?q HTTP/1.1\r\n{lines}\r\n");
    assert_eq!(client.ask(&odd).await, OK);
    assert_eq!(client.ask(&get(port, "/secret/x")).await, forbidden("no-secret"));
    let post = |mark: &str| format!("POST / HTTP/1.1\r\n{lines}{mark}Content-Length: 3\r\n\r\na\0b");
    assert_eq!(client.ask(&post("X-Mark: 1\r\n")).await, OK);
    let put = |body: &str| format!("PUT / HTTP/1.1\r\n{lines}Content-Length: {}\r\n\r\n{body}", body.len());
    assert_eq!(client.ask(&put("yes please")).await, OK);
    assert_eq!(client.ask(&put("now")).await, forbidden("default"));
    // Its body was not read, so this is the last.
    let refused = post("");
    client.send(&refused).await;
    let expected = forbidden("default").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    assert_eq!(client.rest_text().await, expected);
    assert_eq!(upstream.received(), [odd, post("X-Mark: 1\r\n"), put("yes please")]);
    assert_eq!(upstream.connections(), 1, "one connection to the server carries all");
    let refusals = [("no-secret", "blocked_by_rule"), ("default", "no_rule_allows"), ("default", "no_rule_allows")];
    inner.world.assert_refusals(&refusals);
    let record = inner.world.records().into_iter().find(|record| record["decision"] == "block").unwrap();
    assert_eq!((&record["layer"], &record["request"]["http"]["path"]), (&"https".into(), &"/secret/x".into()));
    assert_eq!(record["request"]["http"]["scheme"], "https");
    assert_eq!((inner.world.passed(), inner.world.resolved()), (3, vec!["a.example".to_owned()]));
}

#[tokio::test]
async fn what_no_rule_allows_is_never_resolved_nor_dialled() {
    let inner = Inner::new(RULES).await;
    let upstream = inner.upstream(|_| OK.to_owned()).await;
    let mut client = inner.open(upstream.port()).await;
    assert_eq!(client.ask(&get(upstream.port(), "/secret")).await, forbidden("no-secret"));
    assert_eq!((upstream.connections(), inner.world.resolved().len()), (0, 0));
}

#[tokio::test]
async fn a_redirected_connection_is_looked_into_by_its_name() {
    let inner = Inner::new(RULES).await;
    let upstream = inner.upstream(|_| OK.to_owned()).await;
    let chosen = SocketAddr::new("192.0.2.7".parse().unwrap(), upstream.port());
    let stream = inner.world.redirected(chosen).await.stream;
    let mut client = Client::new(handshake(inner.client_config(), "a.example", stream).await.unwrap());
    assert_eq!(client.ask(&get(upstream.port(), "/")).await, OK);
    assert_eq!(client.ask(&get(upstream.port(), "/secret")).await, forbidden("no-secret"));
    assert_eq!(inner.world.resolved(), ["a.example"]);
}

#[tokio::test]
async fn the_host_inside_is_the_connections_on_every_request() {
    for head in [
        "GET / HTTP/1.1\r\nHost: b.example:PORT\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.example:1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\n\r\n",
    ] {
        let rules = format!("{RULES}{}", allow("all", "http.host in [\"b.example\", \"127.0.0.1\"]"));
        let inner = Inner::new(&rules).await;
        let upstream = inner.upstream(|_| OK.to_owned()).await;
        let mut client = inner.open(upstream.port()).await;
        assert_eq!(client.ask(&get(upstream.port(), "/1")).await, OK);
        assert_eq!(client.ask(&get(upstream.port(), "/2")).await, OK);
        let answer = client.ask(&head.replace("PORT", &upstream.port().to_string())).await;
        assert!(answer.starts_with("HTTP/1.1 421 Misdirected Request\r\n"), "{head}: {answer}");
        assert!(answer.contains("X-Outcall-Block-Reason: host_mismatch\r\n"), "{answer}");
        inner.world.assert_refusals(&[("default", "host_mismatch")]);
        assert_eq!(inner.world.records()[0]["request"]["http"]["host"], "a.example");
        assert_eq!(upstream.received().len(), 2);
    }
}

#[tokio::test]
async fn shapes_with_two_readings_are_refused_inside_too() {
    for head in [
        "POST / HTTP/1.1\r\nHost: @\r\nX-Mark: 1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: @\r\nX-Mark: 1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        "PUT / HTTP/1.1\r\nHost: @\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: @\r\nX: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\nHost: @\n\n",
        "GET / HTTP/1.1\r\nHost: @\r\nHost: @\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET http://@/ HTTP/1.1\r\nHost: @\r\n\r\n",
        "GET https://@/ HTTP/1.1\r\nHost: @\r\n\r\n",
        "GET /a/../b HTTP/1.1\r\nHost: @\r\n\r\n",
        "CONNECT @ HTTP/1.1\r\nHost: @\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let inner = Inner::new(RULES).await;
        let upstream = inner.upstream(|_| OK.to_owned()).await;
        let mut client = inner.open(upstream.port()).await;
        client.send(head.replace('@', &format!("a.example:{}", upstream.port()))).await;
        let answer = client.rest_text().await;
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{head:?}: {answer}");
        assert!(upstream.received().is_empty(), "{head:?}");
        assert_eq!(inner.world.records()[0]["layer"], "https");
    }
}

#[tokio::test]
async fn responses_of_all_shapes_end_where_they_say() {
    let inner = Inner::new(RULES).await;
    let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n3;e=1\r\nabc\r\n0\r\nX-T: 1\r\n\r\n";
    let upstream = inner
        .upstream(move |message| match message.split(' ').nth(1).unwrap() {
            "/head" => "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n".into(),
            "/204" => "HTTP/1.1 204 No Content\r\n\r\n".into(),
            "/hints" => format!("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n{OK}"),
            "/chunked" => chunked.into(),
            "/close" => "HTTP/1.1 200 OK\r\nX: Connection: close\r\n\r\nuntil the end".into(),
            _ => OK.into(),
        })
        .await;
    let port = upstream.port();
    let mut client = inner.open(port).await;
    client.send(format!("HEAD /head HTTP/1.1\r\nHost: a.example:{port}\r\n\r\n")).await;
    assert_eq!(client.until("\r\n\r\n").await, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n");
    client.send(get(port, "/204")).await;
    assert_eq!(client.until("\r\n\r\n").await, "HTTP/1.1 204 No Content\r\n\r\n");
    client.send(get(port, "/hints")).await;
    assert_eq!(client.until("\r\n\r\n").await, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
    assert_eq!(client.message().await, OK);
    assert_eq!(client.ask(&get(port, "/chunked")).await, chunked);
    client.send(get(port, "/close")).await;
    let mut rest = Vec::new();
    // An end that was not said in TLS would be an error here.
    client.stream.read_to_end(&mut rest).await.unwrap();
    let expected = "HTTP/1.1 200 OK\r\nX: Connection: close\r\nConnection: close\r\n\r\nuntil the end";
    assert_eq!(String::from_utf8(rest).unwrap(), expected);
    assert_eq!(inner.world.refusals().len(), 0);
}

#[tokio::test]
async fn a_response_that_is_cut_off_is_not_passed_off_as_whole() {
    let inner = Inner::new(RULES).await;
    let acceptor = TlsAcceptor::from(Arc::new(inner.server("a.example", |_| {})));
    let upstream = Upstream::start(Box::new(move |client, _| {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let mut client = Client::new(acceptor.accept(client.stream).await.unwrap());
            client.message().await;
            client.send("HTTP/1.1 200 OK\r\n\r\nthe beginning").await;
            // The connection ends without a word in TLS: anybody on the way could have ended it.
        })
    }))
    .await;
    let mut client = inner.open(upstream.port()).await;
    client.send(get(upstream.port(), "/")).await;
    client.until("the beginning").await;
    let error = client.stream.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn events_flow_as_they_come_and_bodies_as_they_are_sent() {
    let inner = Inner::new(RULES).await;
    let acceptor = TlsAcceptor::from(Arc::new(inner.server("a.example", |_| {})));
    // Each event is sent when the client has acknowledged the one before, so a buffer anywhere would stop all.
    let (acknowledge, acknowledged) = watch::channel(0);
    let upstream = Upstream::start(Box::new(move |client, _| {
        let (acceptor, mut acknowledged) = (acceptor.clone(), acknowledged.clone());
        tokio::spawn(async move {
            let mut client = Client::new(acceptor.accept(client.stream).await.unwrap());
            client.until("\r\n\r\n").await;
            client.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n").await;
            for number in 1..=3 {
                client.send(format!("data: {number}\n\n")).await;
                acknowledged.wait_for(|seen| *seen >= number).await.unwrap();
            }
            client.stream.shutdown().await.unwrap();
        })
    }))
    .await;
    let mut client = inner.open(upstream.port()).await;
    client.send(get(upstream.port(), "/events")).await;
    client.until("\r\n\r\n").await;
    for number in 1..=3 {
        assert_eq!(client.until("\n\n").await, format!("data: {number}\n\n"));
        acknowledge.send(number).unwrap();
    }
    assert_eq!(client.rest_text().await, "");
}

#[tokio::test]
async fn a_lot_flows_both_ways_at_once() {
    const SIZE: usize = 4 << 20;
    let inner = Inner::new(RULES).await;
    let acceptor = TlsAcceptor::from(Arc::new(inner.server("a.example", |_| {})));
    // Sends back what it receives while it receives it, so both directions fill up unless both are served.
    let upstream = Upstream::start(Box::new(move |client, _| {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let mut client = Client::new(acceptor.accept(client.stream).await.unwrap());
            client.until("\r\n\r\n").await;
            client.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n")).await;
            let mut left = SIZE;
            while left > 0 {
                let bytes = std::mem::take(&mut client.unread);
                left -= bytes.len();
                client.send(&bytes).await;
                if left > 0 && client.unread.is_empty() && client.more().await == 0 {
                    return;
                }
            }
        })
    }))
    .await;
    let stream = inner.open(upstream.port()).await.stream;
    let (reader, mut writer) = tokio::io::split(stream);
    let head = format!(
        "POST / HTTP/1.1\r\nHost: a.example:{}\r\nX-Mark: 1\r\nContent-Length: {SIZE}\r\n\r\n",
        upstream.port()
    );
    let sent: Vec<u8> = (0..SIZE).map(|at| (at % 251) as u8).collect();
    let body = sent.clone();
    let sending = tokio::spawn(async move {
        writer.write_all(head.as_bytes()).await.unwrap();
        writer.write_all(&body).await.unwrap();
        writer.flush().await.unwrap();
        writer
    });
    let received = tokio::time::timeout(PATIENCE, async {
        let mut reader = reader;
        let mut received = Vec::new();
        while received.len() < SIZE && reader.read_buf(&mut received).await.unwrap() > 0 {
            if let Some(at) = received.windows(4).take(512).position(|window| window == b"\r\n\r\n") {
                received.drain(..at + 4);
            }
        }
        received
    });
    let received = received.await.expect("in time");
    assert!(received == sent, "{} of {SIZE} bytes", received.len());
    drop(sending.await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_at_once_get_each_their_own_answers() {
    let inner = Arc::new(Inner::new(RULES).await);
    let upstream = inner
        .upstream(|message| {
            let path = message.split(' ').nth(1).unwrap().to_owned();
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len())
        })
        .await;
    let port = upstream.port();
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..64 {
        let inner = Arc::clone(&inner);
        clients.spawn(async move {
            let mut client = inner.open(port).await;
            for request in 0..10 {
                let path = format!("/{number}/{request}");
                let answer = client.ask(&get(port, &path)).await;
                assert!(answer.ends_with(&format!("\r\n\r\n{path}")), "{answer}");
            }
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    eventually(|| inner.world.passed() == 640).await;
    // One that is done with leaves its connection to those who come after it.
    assert!((1..=64).contains(&upstream.connections()), "{}", upstream.connections());
}

#[tokio::test]
async fn a_websocket_passes_as_bytes_after_its_handshake() {
    let inner = Inner::new(RULES).await;
    let acceptor = TlsAcceptor::from(Arc::new(inner.server("a.example", |_| {})));
    let upstream = Upstream::start(Box::new(move |client, received| {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let mut client = Client::new(acceptor.accept(client.stream).await.unwrap());
            let head = client.until("\r\n\r\n").await;
            received.lock().unwrap().push(head);
            client
                .send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhi")
                .await;
            let said = client.until("!").await;
            client.send(format!("you said {said}")).await;
            client.stream.shutdown().await.unwrap();
        })
    }))
    .await;
    let port = upstream.port();
    let mut client = inner.open(port).await;
    let head = format!(
        "GET /ws HTTP/1.1\r\nHost: a.example:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n"
    );
    client.send(&head).await;
    assert!(client.until("\r\n\r\n").await.starts_with("HTTP/1.1 101 "));
    client.send("\0\u{1}frames!").await;
    assert_eq!(client.rest_text().await, "hiyou said \0\u{1}frames!");
    assert_eq!(upstream.received(), [head]);
}

#[tokio::test]
async fn a_client_that_waits_for_100_gets_it_from_whoever_reads_the_body() {
    let inner = Inner::new(RULES).await;
    let acceptor = TlsAcceptor::from(Arc::new(inner.server("a.example", |_| {})));
    let upstream = Upstream::start(Box::new(move |client, received| {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let mut client = Client::new(acceptor.accept(client.stream).await.unwrap());
            let mut message = client.until("\r\n\r\n").await;
            client.send("HTTP/1.1 100 Continue\r\n\r\n").await;
            message += &client.until("please").await;
            received.lock().unwrap().push(message);
            client.send(OK).await;
        })
    }))
    .await;
    for (method, mark) in [("POST", "X-Mark: 1\r\n"), ("PUT", "")] {
        let mut client = inner.open(upstream.port()).await;
        let port = upstream.port();
        let head = format!(
            "{method} / HTTP/1.1\r\nHost: a.example:{port}\r\n{mark}Expect: 100-continue\r\nContent-Length: 6\r\n\r\n"
        );
        client.send(&head).await;
        assert_eq!(client.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n", "{method}");
        client.send("please").await;
        let answer = client.until("ok").await;
        assert!(answer.ends_with(OK), "{method}: {answer}");
        assert_eq!(upstream.received().last(), Some(&format!("{head}please")));
    }
}

#[tokio::test]
async fn a_body_that_rules_cannot_see_is_null_and_refused_where_they_ask_for_it() {
    let limits = Limits { body_bytes: 10, ..Limits::default() };
    let inner = Inner::with_limits(RULES, limits).await;
    let upstream = inner.upstream(|_| OK.to_owned()).await;
    let port = upstream.port();
    for (lines, body, passes) in [
        ("Content-Length: 6\r\n", "please", true),
        ("Content-Length: 6\r\nContent-Encoding: identity\r\n", "please", true),
        ("Content-Length: 6\r\nContent-Encoding: x-none\r\n", "please", false),
        ("Content-Length: 11\r\n", "please wait", false),
        ("Transfer-Encoding: chunked\r\n", "b\r\nplease wait\r\n0\r\n\r\n", false),
    ] {
        let mut client = inner.open(port).await;
        client.send(format!("PUT / HTTP/1.1\r\nHost: a.example:{port}\r\n{lines}\r\n{body}")).await;
        let answer = client.until("\r\n\r\n").await;
        let status = if passes { "HTTP/1.1 200 " } else { "HTTP/1.1 403 " };
        assert!(answer.starts_with(status), "{lines}{body}: {answer}");
    }
    assert_eq!(upstream.received().len(), 2);
    for record in inner.world.records().iter().filter(|record| record["decision"] == "block") {
        assert!(record["request"]["detail"].as_str().unwrap().contains("`http.body` was null"), "{record}");
    }
}

#[tokio::test]
async fn an_encoded_body_is_judged_decoded_and_forwarded_as_it_came() {
    let inner = Inner::with_limits(RULES, Limits { body_bytes: 1000, ..Limits::default() }).await;
    let acceptor = TlsAcceptor::from(Arc::new(inner.server("a.example", |_| {})));
    let upstream = Upstream::start(Box::new(move |client, received| {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let mut client = Client::new(acceptor.accept(client.stream).await.unwrap());
            client.until("\r\n\r\n").await;
            client.until("END").await;
            received.lock().unwrap().push(String::new());
            client.send(OK).await;
        })
    }))
    .await;
    let gzip = |content: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        std::io::Write::write_all(&mut encoder, content.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let bomb = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut encoder, &b"please".repeat(1000)).unwrap();
        encoder.finish().unwrap()
    };
    assert!(bomb.len() < 1000, "{}", bomb.len());
    for (body, status, reason) in [
        (gzip("yes please END"), 200, None),
        (gzip("now END"), 403, Some("no_rule_allows")),
        (bomb, 403, Some("no_rule_allows")),
        (b"please END".to_vec(), 502, Some("body_decode_failed")),
        ([gzip("please END"), b"more".to_vec()].concat(), 502, Some("body_decode_failed")),
    ] {
        let before = inner.world.refusals().len();
        let mut client = inner.open(upstream.port()).await;
        let head = format!(
            "PUT / HTTP/1.1\r\nHost: a.example:{}\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
            upstream.port(),
            body.len()
        );
        client.send([head.as_bytes(), &body].concat()).await;
        let answer = client.until("\r\n\r\n").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        let refusals = inner.world.refusals();
        assert_eq!(refusals.get(before).map(|(_, reason)| reason.as_str()), reason);
        assert_eq!(answer.contains("X-Outcall-Failure-Reason: body_decode_failed\r\n"), status == 502, "{answer}");
    }
    assert_eq!(upstream.received().len(), 1);
}

#[tokio::test]
async fn a_made_up_encoding_hides_nothing_from_a_block_rule() {
    let rules = r#"rules:
  - { id: no-token, action: block, condition: 'http.body != null && http.body.contains("token")' }
  - id: all
    action: allow
    condition: 'http.host == "a.example" && http.method == "POST"'
    egress: { mode: intercept, allow_private_ips: true }
"#;
    let inner = Inner::new(rules).await;
    let upstream = inner.upstream(|_| OK.to_owned()).await;
    let mut client = inner.open(upstream.port()).await;
    for (encoding, body, answer) in [("x-none", "my token", forbidden("no-token")), ("x-none", "my hat", OK.to_owned())]
    {
        let head = format!(
            "POST / HTTP/1.1\r\nHost: a.example:{}\r\nContent-Encoding: {encoding}\r\nContent-Length: {}\r\n\r\n{body}",
            upstream.port(),
            body.len()
        );
        assert_eq!(client.ask(&head).await, answer, "{encoding} {body}");
    }
}

#[tokio::test]
async fn a_body_over_the_cap_that_passes_leaves_a_warning_that_names_the_rule() {
    let rules = r#"rules:
  - { id: no-token, action: block, condition: 'http.path == "/up" && http.body != null && http.body.contains("token")' }
  - { id: small, action: block, condition: 'http.body_size == 1' }
  - id: all
    action: allow
    condition: 'http.host == "a.example" && http.method == "POST"'
    egress: { mode: intercept, allow_private_ips: true }
"#;
    let inner = Inner::with_limits(rules, Limits { body_bytes: 10, ..Limits::default() }).await;
    let upstream = inner.upstream(|_| OK.to_owned()).await;
    let mut client = inner.open(upstream.port()).await;
    for (path, framing, body) in [
        ("/up", "Content-Length: 9", "a short 1"),
        ("/up", "Content-Length: 11", "a longer 12"),
        ("/up", "Transfer-Encoding: chunked", "b\r\na longer 12\r\n0\r\n\r\n"),
        // No rule would have looked at these.
        ("/other", "Content-Length: 11", "a longer 12"),
    ] {
        let head = format!("POST {path} HTTP/1.1\r\nHost: a.example:{}\r\n{framing}\r\n\r\n{body}", upstream.port());
        assert_eq!(client.ask(&head).await, OK);
    }
    eventually(|| inner.world.records().len() == 4).await;
    let warned = |record: &Value| record["request"]["warning"].is_string();
    let records: Vec<Value> = inner.world.records().into_iter().filter(warned).collect();
    assert_eq!(records.len(), 2, "{records:?}");
    for record in records {
        assert_eq!((&record["decision"], &record["rule"]), (&"allow".into(), &"all".into()));
        let warning = record["request"]["warning"].as_str().unwrap();
        assert!(warning.ends_with("`http.body` was null to `no-token`"), "{warning}");
    }
}

#[tokio::test]
async fn a_rule_may_ask_for_what_the_hello_said_of_requests_inside() {
    let rules = r#"rules:
  - id: named
    action: allow
    condition: 'http.host == "a.example" && http.method == "GET" && tls.sni == "a.example" && size(tls.alpn) == 0'
    egress: { mode: intercept, allow_private_ips: true }
"#;
    let inner = Inner::new(rules).await;
    let upstream = inner.upstream(|_| OK.to_owned()).await;
    let mut client = inner.open(upstream.port()).await;
    assert_eq!(client.ask(&get(upstream.port(), "/")).await, OK);
}

#[tokio::test]
async fn listed_hosts_are_looked_into_and_bypassed_ones_never() {
    let rule = |id: &str, host: &str| allow(id, &format!("http.host == \"{host}\" && http.path.startsWith(\"/\")"));
    let rules = format!(
        "interception: {{ hosts: [\"*.example\"], bypass: [\"b.example\"] }}\nrules:\n  - {{ id: no-secret, action: block, condition: 'http.path.startsWith(\"/secret\")' }}\n{}{}",
        rule("a", "a.example"),
        rule("b", "b.example")
    );
    let inner = Inner::new(&rules).await;
    let upstream = inner.upstream(|_| OK.to_owned()).await;
    let mut client = inner.open(upstream.port()).await;
    assert_eq!(client.ask(&get(upstream.port(), "/secret")).await, forbidden("no-secret"));
    assert_eq!(client.ask(&get(upstream.port(), "/")).await, OK);
    // The bypassed host's own certificate arrives at the client, which does not know its authority.
    let bypassed = serving(inner.server("b.example", |_| {}), |_| OK.to_owned()).await;
    let stream = inner.tunnel("b.example", bypassed.port()).await;
    let error = handshake(inner.client_config(), "b.example", stream).await.unwrap_err();
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    assert_eq!(bypassed.connections(), 1);
}

#[tokio::test]
async fn private_addresses_and_closed_ports_are_refused_inside() {
    let rule = |egress: &str| {
        format!(
            "rules:\n  - id: read\n    action: allow\n    condition: 'http.host == \"a.example\" && http.method == \"GET\"'\n    egress: {{ mode: intercept{egress} }}\n"
        )
    };
    for (egress, reason) in [("", "private_address"), (", allow_private_ips: true, ports: [443]", "port_not_open")] {
        let inner = Inner::new(&rule(egress)).await;
        let upstream = inner.upstream(|_| OK.to_owned()).await;
        let mut client = inner.open(upstream.port()).await;
        assert_eq!(client.ask(&get(upstream.port(), "/")).await, forbidden("read"), "{reason}");
        inner.world.assert_refusals(&[("read", reason)]);
        assert_eq!(upstream.connections(), 0);
    }
}

/// A request of random form whose body has a length or comes in chunks.
fn a_request() -> impl Strategy<Value = (String, String, String)> {
    let name = "[Xx]q-[a-zA-Z0-9-]{1,12}";
    let line = (name, "[ \t]{0,2}", "([!-~]([ -~]{0,20}[!-~])?)?")
        .prop_map(|(name, space, value)| format!("{name}:{space}{value}\r\n"));
    let lines = proptest::collection::vec(line, 0..6).prop_map(|lines| lines.concat());
    let path = "(/[a-zA-Z0-9_-]{1,8}){1,4}(\\?[a-z=&]{0,10})?";
    let whole = "[a-z\r\n]{0,40}".prop_map(|body| (format!("Content-Length: {}\r\n", body.len()), body));
    let chunks = proptest::collection::vec("[a-z\r\n]{1,20}", 0..5).prop_map(|chunks| {
        let chunks: String = chunks.iter().map(|chunk| format!("{:x};e=1\r\n{chunk}\r\n", chunk.len())).collect();
        ("Transfer-Encoding: chunked\r\n".to_owned(), format!("{chunks}0\r\nX-Trailer: t\r\n\r\n"))
    });
    (path, lines, prop_oneof![whole, chunks]).prop_map(|(path, lines, (framing, body))| (path, lines + &framing, body))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_server_sees_the_bytes_that_the_agent_sent(requests in proptest::collection::vec(a_request(), 1..8)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let rules = "rules:\n  - id: all\n    action: allow\n    condition: 'http.host == \"a.example\" && http.method == \"POST\"'\n    egress: { mode: intercept, allow_private_ips: true }\n";
            let inner = Inner::new(rules).await;
            let upstream = inner.upstream(|_| OK.to_owned()).await;
            let mut client = inner.open(upstream.port()).await;
            let mut sent = Vec::new();
            for (path, lines, body) in &requests {
                let hop = "Connection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n";
                let host = format!("Host: a.example:{}\r\n", upstream.port());
                let head = |hop: &str| format!("POST {path} HTTP/1.1\r\n{host}{hop}{lines}\r\n{body}");
                assert_eq!(client.ask(&head(hop)).await, OK);
                sent.push(head(""));
            }
            let received = upstream.received().concat();
            assert_eq!(received, sent.concat());
        });
    }
}
