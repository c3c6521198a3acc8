//! TLS as it is: CONNECT and redirected connections.

use std::io::{Read, Write};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use super::super::hello::tests::client_hello;
use super::*;

const ESTABLISHED: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

fn connect(host: &str, port: u16) -> String {
    format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n")
}

fn alert(description: u8) -> Vec<u8> {
    vec![0x15, 3, 3, 0, 2, 2, description]
}

/// A TLS server that answers a line with the same line, its address and its certificate.
fn tls_echo() -> (SocketAddr, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let session = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut tls = rustls::StreamOwned::new(session, stream);
        let mut line = [0; 5];
        tls.read_exact(&mut line).unwrap();
        tls.write_all(&line).unwrap();
        tls.conn.send_close_notify();
        tls.flush().unwrap();
    });
    (address, certificate)
}

#[tokio::test]
async fn a_real_handshake_passes_through_a_tunnel() {
    let world = World::new(&usual_rules()).await;
    let (address, certificate) = tls_echo();
    let mut client = world.client().await;
    client.send(connect("a.example", address.port())).await;
    assert_eq!(client.until("\r\n\r\n").await, ESTABLISHED);
    let stream = client.stream.into_std().unwrap();
    stream.set_nonblocking(false).unwrap();
    let answer = tokio::task::spawn_blocking(move || {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("a.example").unwrap();
        let session = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let mut tls = rustls::StreamOwned::new(session, stream);
        tls.write_all(b"hello").unwrap();
        let mut answer = String::new();
        tls.read_to_string(&mut answer).unwrap();
        answer
    });
    assert_eq!(tokio::time::timeout(PATIENCE, answer).await.unwrap().unwrap(), "hello");
    assert_eq!((world.passed(), world.refusals().len()), (1, 0));
}

#[tokio::test]
async fn a_hello_arrives_whole_however_it_was_cut() {
    let world = World::new(&usual_rules()).await;
    let upstream = Upstream::echo().await;
    let hello = client_hello(Some("a.example"));
    let mut client = world.client().await;
    client.send(connect("a.example", upstream.port())).await;
    assert_eq!(client.until("\r\n\r\n").await, ESTABLISHED);
    for byte in hello.chunks(1) {
        client.send(byte).await;
        tokio::task::yield_now().await;
    }
    client.send("and more").await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.rest().await, [hello.as_slice(), b"and more"].concat());
    // Sent ahead of the answer, the hello is not lost either.
    let mut client = world.client().await;
    client.send([connect("a.example", upstream.port()).as_bytes(), &hello].concat()).await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.rest().await, [ESTABLISHED.as_bytes(), &hello].concat());
}

#[tokio::test]
async fn a_refused_connect_is_never_resolved() {
    let (world, upstream) = (World::new(&usual_rules()).await, Upstream::echo().await);
    let mut client = world.client().await;
    assert_eq!(client.ask(&connect("c.example", upstream.port())).await, forbidden("default"));
    assert!(world.resolved().is_empty());
    // The same connection may ask again.
    client.send(connect("a.example", upstream.port())).await;
    assert_eq!(client.until("\r\n\r\n").await, ESTABLISHED);
    world.assert_refusals(&[("default", "no_rule_allows")]);
}

#[tokio::test]
async fn an_unreachable_upstream_is_told_before_the_tunnel_stands() {
    let world = World::new(&usual_rules()).await;
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let answer = world.client().await.ask(&connect("a.example", gone.port())).await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    world.assert_refusals(&[("default", "upstream_unreachable")]);
}

#[tokio::test]
async fn the_server_name_is_the_connect_name_or_nothing_passes() {
    let rules = format!("rules:\n{}", allow("all", "http.host in [\"a.example\", \"b.example\", \"127.0.0.1\"]"));
    for (host, first, reason, words) in [
        ("a.example", client_hello(Some("b.example")), "host_mismatch", alert(112)),
        ("a.example", client_hello(Some("x.a.example")), "host_mismatch", alert(112)),
        ("127.0.0.1", client_hello(Some("a.example")), "host_mismatch", alert(112)),
        ("a.example", client_hello(None), "sni_missing", alert(109)),
        ("a.example", client_hello(Some("127.0.0.1")), "malformed_client_hello", alert(50)),
        ("a.example", client_hello(Some("a.example.")), "malformed_client_hello", alert(50)),
        ("a.example", b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n".to_vec(), "not_tls", vec![]),
        ("a.example", b"SSH-2.0-x\r\n".to_vec(), "not_tls", vec![]),
        ("a.example", b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00".to_vec(), "malformed_client_hello", alert(50)),
    ] {
        let (world, upstream) = (World::new(&rules).await, Upstream::echo().await);
        let mut client = world.client().await;
        client.send(connect(host, upstream.port())).await;
        assert_eq!(client.until("\r\n\r\n").await, ESTABLISHED);
        client.send(&first).await;
        assert_eq!(client.rest().await, words, "{host} {reason}");
        assert_eq!((world.refusals().len(), world.refusals()[0].1.as_str()), (1, reason), "{host}");
        eventually(|| upstream.connections() == upstream.received().len()).await;
        assert!(upstream.received().iter().all(String::is_empty), "{host} {reason}");
        assert_eq!(world.passed(), 0);
    }
}

#[tokio::test]
async fn an_address_is_reached_without_a_server_name() {
    let rules = format!("rules:\n{}", allow("local", "http.host == \"127.0.0.1\""));
    let (world, upstream) = (World::new(&rules).await, Upstream::echo().await);
    let hello = client_hello(None);
    let mut client = world.client().await;
    client.send([connect("127.0.0.1", upstream.port()).as_bytes(), &hello].concat()).await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.rest().await, [ESTABLISHED.as_bytes(), &hello].concat());
    let mut client = world.redirected(upstream.address).await;
    client.send(&hello).await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.rest().await, hello);
    assert_eq!((world.passed(), world.resolved().len()), (2, 0));
}

#[tokio::test]
async fn a_rule_on_the_hello_is_asked_before_anything_is_dialled() {
    let rules = |protocol: &str| {
        format!("rules:\n{}", allow("h2", &format!("http.host == \"a.example\" && \"{protocol}\" in tls.alpn")))
    };
    for (protocol, passes) in [("h2", true), ("h3", false)] {
        let (world, upstream) = (World::new(&rules(protocol)).await, Upstream::echo().await);
        let hello = client_hello(Some("a.example"));
        let mut client = world.client().await;
        client.send([connect("a.example", upstream.port()).as_bytes(), &hello].concat()).await;
        assert_eq!(client.until("\r\n\r\n").await, ESTABLISHED);
        client.stream.shutdown().await.unwrap();
        assert_eq!(client.rest().await, if passes { hello } else { alert(49) });
        assert_eq!((upstream.connections(), world.passed()), (usize::from(passes), u64::from(passes)));
    }
}

#[tokio::test]
async fn a_redirected_connection_goes_where_its_name_resolves_to() {
    let (world, upstream) = (World::new(&usual_rules()).await, Upstream::echo().await);
    // The agent chose another address; the name is what was judged, so ours is dialled, at the agent's port.
    let chosen = SocketAddr::new("192.0.2.7".parse().unwrap(), upstream.port());
    for (name, expected) in [("a.example", None), ("c.example", Some(alert(49)))] {
        let hello = client_hello(Some(name));
        let mut client = world.redirected(chosen).await;
        client.send(&hello).await;
        client.stream.shutdown().await.unwrap();
        assert_eq!(client.rest().await, expected.unwrap_or(hello), "{name}");
    }
    let mut client = world.redirected(chosen).await;
    client.send(client_hello(None)).await;
    assert_eq!(client.rest().await, alert(49));
    assert_eq!(world.resolved(), ["a.example"]);
    world.assert_refusals(&[("default", "no_rule_allows"), ("default", "no_rule_allows")]);
}

#[tokio::test]
async fn what_needs_interception_is_never_tunnelled() {
    let rules = "rules:\n  - id: inside\n    action: allow\n    condition: 'http.host == \"a.example\" && http.method == \"GET\"'\n    egress: { mode: intercept, allow_private_ips: true }\n";
    let (world, upstream) = (World::new(rules).await, Upstream::echo().await);
    let answer = world.client().await.ask(&connect("a.example", upstream.port())).await;
    assert!(answer.contains("X-Outcall-Failure-Reason: interception_unavailable\r\n"), "{answer}");
    world.assert_refusals(&[("inside", "interception_unavailable")]);
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn ports_that_a_rule_does_not_open_stay_closed() {
    let rules = "rules:\n  - id: web\n    action: allow\n    condition: 'http.host == \"a.example\"'\n    egress: { ports: [443], allow_private_ips: true }\n";
    let (world, upstream) = (World::new(rules).await, Upstream::echo().await);
    assert_eq!(world.client().await.ask(&connect("a.example", upstream.port())).await, forbidden("web"));
    world.assert_refusals(&[("web", "port_not_open")]);
    assert_eq!((upstream.connections(), world.resolved().len()), (0, 0));
}

#[tokio::test]
async fn a_silent_hello_is_given_up_on() {
    let limits = Limits { hello: Duration::from_millis(200), ..Limits::default() };
    let (world, upstream) = (World::with_limits(&usual_rules(), limits).await, Upstream::echo().await);
    let mut client = world.client().await;
    client.send(connect("a.example", upstream.port())).await;
    client.send(&client_hello(Some("a.example"))[..20]).await;
    assert_eq!(client.until("\r\n\r\n").await, ESTABLISHED);
    assert_eq!(client.rest().await, alert(90));
    world.assert_refusals(&[("default", "agent_timeout")]);
}

#[tokio::test]
async fn shutdown_lets_a_tunnel_go_on_until_the_time_is_over() {
    let limits = Limits { drain: Duration::from_secs(1), ..Limits::default() };
    let (world, upstream) = (World::with_limits(&usual_rules(), limits).await, Upstream::echo().await);
    let mut tunnels = Vec::new();
    for _ in 0..2 {
        let mut client = world.client().await;
        client.send(connect("a.example", upstream.port())).await;
        assert_eq!(client.until("\r\n\r\n").await, ESTABLISHED);
        let hello = client_hello(Some("a.example"));
        client.send(&hello).await;
        while client.unread.len() < hello.len() {
            assert!(client.more().await > 0);
        }
        client.unread.clear();
        tunnels.push(client);
    }
    world.shutdown.send(true).unwrap();
    let mut finishing = tunnels.remove(0);
    finishing.send("still here").await;
    finishing.stream.shutdown().await.unwrap();
    assert_eq!(finishing.rest_text().await, "still here");
    assert!(!world.serving.is_finished());
    // The other one stays open on both sides, so it is cut off.
    assert_eq!(tunnels[0].rest().await, b"");
    tokio::time::timeout(PATIENCE, world.serving).await.unwrap().unwrap().unwrap();
}
