//! Handshakes of connections that are looked into: with clients, with the servers behind, and what becomes of failures.

use rcgen::{CertificateParams, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::super::hello::tests::client_hello;
use super::inside::{Inner, RULES, get, handshake, server_config, serving};
use super::*;

/// The answer to a request whose server cannot be trusted or spoken to.
fn bad_gateway(code: &str, words: &str) -> String {
    let body = format!("Outcall could not complete the request: {words}");
    format!(
        "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nX-Outcall-Failure-Reason: {code}\r\n\r\n{body}",
        body.len()
    )
}

const NOT_TRUSTED: &str = "the TLS handshake with the upstream failed or its certificate is not valid for the host";

/// Asks for `/` behind this server: the answer to the agent, and how many requests arrived.
async fn behind(inner: &Inner, server: ServerConfig) -> (String, usize) {
    let upstream = serving(server, |_| OK.to_owned()).await;
    let mut client = inner.open(upstream.port()).await;
    let answer = client.ask(&get(upstream.port(), "/")).await;
    // The connection to the agent is as good as before.
    assert_eq!(client.ask(&get(upstream.port(), "/secret")).await, forbidden("no-secret"));
    (answer, upstream.received().len())
}

#[tokio::test]
async fn a_server_is_spoken_to_only_with_a_valid_certificate_for_the_name() {
    let year = |year| rcgen::date_time_ymd(year, 1, 1);
    let inner = Inner::new(RULES).await;
    let wrong_name = inner.server("b.example", |_| {});
    let expired = inner.server("a.example", |it| (it.not_before, it.not_after) = (year(2001), year(2002)));
    let not_yet = inner.server("a.example", |it| (it.not_before, it.not_after) = (year(2090), year(2091)));
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["a.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    let self_signed = server_config(vec![own.der().clone()], &key);
    for server in [wrong_name, expired, not_yet, self_signed] {
        let (answer, arrived) = behind(&inner, server).await;
        assert_eq!((answer, arrived), (bad_gateway("upstream_handshake_failed", NOT_TRUSTED), 0));
    }
    let refusals = inner.world.refusals();
    let failures: Vec<_> = refusals.iter().filter(|(_, reason)| reason == "upstream_handshake_failed").collect();
    assert_eq!(failures.len(), 4, "{refusals:?}");
    let (answer, arrived) = behind(&inner, inner.server("a.example", |_| {})).await;
    assert_eq!((answer.as_str(), arrived), (OK, 1));
}

#[tokio::test]
async fn a_server_that_wants_a_client_certificate_is_a_failed_handshake_in_both_versions() {
    let inner = Inner::new(RULES).await;
    let mut roots = RootCertStore::empty();
    roots.add(inner.trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let roots = Arc::new(roots);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider)).build().unwrap();
        let key = KeyPair::generate().unwrap();
        let chain = inner.signed("a.example", &key);
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap();
        let (answer, arrived) = behind(&inner, server).await;
        assert_eq!((answer, arrived), (bad_gateway("upstream_handshake_failed", NOT_TRUSTED), 0), "{version:?}");
    }
}

#[tokio::test]
async fn a_server_that_speaks_another_protocol_alone_is_told_apart() {
    let inner = Inner::new(RULES).await;
    let mut server = inner.server("a.example", |_| {});
    server.alpn_protocols = vec![b"h2".to_vec()];
    let (answer, arrived) = behind(&inner, server).await;
    let words = "client and upstream have no protocol in common that is read inside TLS";
    assert_eq!((answer, arrived), (bad_gateway("alpn_mismatch", words), 0));
}

#[tokio::test]
async fn a_server_that_is_gone_or_speaks_no_tls_is_a_502() {
    let inner = Inner::new(RULES).await;
    let plain = Upstream::http(|_| OK.to_owned()).await;
    let mut client = inner.open(plain.port()).await;
    // What it says to a ClientHello is no TLS.
    let waits = Upstream::start(Box::new(|mut client, _| {
        tokio::spawn(async move {
            client.more().await;
            client.send(OK).await;
        })
    }))
    .await;
    let mut other = inner.open(waits.port()).await;
    assert_eq!(other.ask(&get(waits.port(), "/")).await, bad_gateway("upstream_handshake_failed", NOT_TRUSTED));
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut none = inner.open(gone).await;
    assert!(none.ask(&get(gone, "/")).await.contains("X-Outcall-Failure-Reason: upstream_unreachable\r\n"));
    assert_eq!(client.ask(&get(plain.port(), "/secret")).await, forbidden("no-secret"));
}

#[tokio::test]
async fn both_versions_of_tls_are_spoken_and_http_1_is_chosen() {
    let inner = Inner::new(RULES).await;
    let upstream = inner.upstream(|_| OK.to_owned()).await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut roots = RootCertStore::empty();
        roots.add(inner.trusted.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let stream = inner.tunnel("a.example", upstream.port()).await;
        let stream = handshake(config, "a.example", stream).await.unwrap();
        let session = stream.get_ref().1;
        assert_eq!(session.alpn_protocol(), Some(b"http/1.1".as_slice()));
        assert_eq!(session.protocol_version(), Some(version.version));
        assert_eq!(Client::new(stream).ask(&get(upstream.port(), "/")).await, OK);
    }
}

#[tokio::test]
async fn a_client_that_offers_what_is_not_read_is_refused_before_anything_is_terminated() {
    let inner = Inner::new(RULES).await;
    let mut config = inner.client_config();
    config.alpn_protocols = vec![b"spdy/3".to_vec(), b"acme-tls/1".to_vec()];
    let stream = inner.tunnel("a.example", 443).await;
    let error = handshake(config, "a.example", stream).await.unwrap_err();
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
    inner.world.assert_refusals(&[("read", "alpn_mismatch")]);
}

#[tokio::test]
async fn the_hello_must_name_the_connects_host() {
    for (first, reason, words) in [
        (client_hello(Some("b.example")), "host_mismatch", 112),
        (client_hello(None), "sni_missing", 109),
        (b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00".to_vec(), "malformed_client_hello", 50),
    ] {
        let inner = Inner::new(RULES).await;
        let mut client = Client::new(inner.tunnel("a.example", 443).await);
        client.send(&first).await;
        assert_eq!(client.rest().await, [0x15, 3, 3, 0, 2, 2, words], "{reason}");
        assert_eq!(inner.world.refusals()[0].1, reason);
        assert_eq!((inner.world.refusals().len(), inner.world.resolved().len()), (1, 0));
    }
    let inner = Inner::new(RULES).await;
    let mut client = Client::new(inner.tunnel("a.example", 443).await);
    client.send("SSH-2.0-x\r\n").await;
    assert_eq!(client.rest().await, b"");
    inner.world.assert_refusals(&[("default", "not_tls")]);
}

#[tokio::test]
async fn an_address_is_looked_into_with_a_certificate_of_its_own() {
    let rules = "rules:\n  - id: read\n    action: allow\n    condition: 'http.host == \"127.0.0.1\" && http.method == \"GET\"'\n    egress: { mode: intercept, allow_private_ips: true }\n";
    let inner = Inner::new(rules).await;
    let upstream = serving(inner.server("127.0.0.1", |_| {}), |_| OK.to_owned()).await;
    let stream = inner.tunnel("127.0.0.1", upstream.port()).await;
    let mut client = Client::new(handshake(inner.client_config(), "127.0.0.1", stream).await.unwrap());
    let head = format!("GET / HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", upstream.port());
    assert_eq!(client.ask(&head).await, OK);
}

#[tokio::test]
async fn a_client_that_does_not_trust_or_pins_is_named_with_the_remedy() {
    let inner = Inner::new(RULES).await;
    let stranger = Inner::new(RULES).await;
    let stream = inner.tunnel("a.example", 443).await;
    handshake(stranger.client_config(), "a.example", stream).await.unwrap_err();
    eventually(|| !inner.world.refusals().is_empty()).await;
    // One that hangs up in the middle of the handshake.
    let mut client = Client::new(inner.tunnel("a.example", 443).await);
    client.send(client_hello(Some("a.example"))).await;
    drop(client);
    eventually(|| inner.world.refusals().len() == 2).await;
    inner.world.assert_refusals(&[("read", "client_handshake_failed"), ("read", "client_handshake_failed")]);
    let detail = inner.world.records()[0]["request"]["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with("untrusted_ca: ") && detail.contains("`interception.bypass`"), "{detail}");
}

#[tokio::test]
async fn a_handshake_that_does_not_go_on_is_given_up_on() {
    let limits = Limits { hello: Duration::from_millis(200), ..Limits::default() };
    let inner = Inner::with_limits(RULES, limits).await;
    // Half a hello, and a whole one after which nothing comes.
    let hello = captured_hello(inner.client_config());
    for first in [&hello[..20], &hello[..]] {
        let mut client = Client::new(inner.tunnel("a.example", 443).await);
        client.send(first).await;
        client.rest().await;
    }
    assert_eq!(inner.world.refusals().iter().filter(|(_, reason)| reason == "agent_timeout").count(), 2);
}

/// What a client says first to `a.example`.
fn captured_hello(config: ClientConfig) -> Vec<u8> {
    let name = rustls::pki_types::ServerName::try_from("a.example").unwrap();
    let mut session = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut hello = Vec::new();
    session.write_tls(&mut hello).unwrap();
    hello
}

#[tokio::test]
async fn a_host_that_the_authority_may_not_speak_for_is_a_502_on_connect() {
    let inner = Inner::constrained(RULES, &["b.example"]).await;
    let mut client = inner.world.client().await;
    let answer = client.ask("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n").await;
    assert_eq!(answer, bad_gateway("cert_gen_failed", "no certificate could be made for the host"));
    inner.world.assert_refusals(&[("read", "cert_gen_failed")]);
}

#[tokio::test]
async fn a_leaf_that_is_let_go_of_during_a_handshake_finishes_it() {
    let inner = Inner::new(RULES).await;
    let upstream = inner.upstream(|_| OK.to_owned()).await;
    let leaves = inner.world.context.interception.as_ref().unwrap().leaves();
    let mut tunnel = inner.tunnel("a.example", upstream.port()).await;
    let (near, mut far) = tokio::io::duplex(1 << 16);
    let name = rustls::pki_types::ServerName::try_from("a.example").unwrap();
    let shaking = tokio::spawn(tokio_rustls::TlsConnector::from(Arc::new(inner.client_config())).connect(name, near));
    // The hello passes, and what the proxy says to it, with its certificate, is held back.
    let mut hello = vec![0; 1 << 16];
    let length = tokio::io::AsyncReadExt::read(&mut far, &mut hello).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut tunnel, &hello[..length]).await.unwrap();
    tunnel.readable().await.unwrap();
    assert_eq!(leaves.flush(), 1);
    tokio::spawn(async move { tokio::io::copy_bidirectional(&mut far, &mut tunnel).await });
    let stream = tokio::time::timeout(PATIENCE, shaking).await.expect("in time").unwrap().unwrap();
    assert_eq!(leaves.len(), 0);
    assert_eq!(Client::new(stream).ask(&get(upstream.port(), "/")).await, OK);
    // The next client gets a new one.
    assert_eq!(inner.open(upstream.port()).await.ask(&get(upstream.port(), "/")).await, OK);
    assert_eq!(leaves.len(), 1);
}
