//! Connections to listed hosts that cannot be looked into: which pass as a tunnel, and which never do.

use outcall_schema::host::Host;
use rcgen::{CertificateParams, KeyPair};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;

use super::inside::{Inner, get, handshake, server_config, serving};
use super::*;
use crate::intercept::Failures;

/// A listed host that everything is allowed to.
const LISTED: &str = "interception: { hosts: [a.example] }\n";

fn listed(more: &str) -> String {
    format!("{LISTED}rules:\n{more}{}", allow("web", "http.host == \"a.example\""))
}

/// What came of a connection: the certificate that the client was shown, if it took it.
type Shown = Option<CertificateDer<'static>>;

/// Opens a connection to `a.example` and asks for `/` where that goes.
async fn connect(inner: &Inner, config: ClientConfig, port: u16) -> Shown {
    let stream = inner.tunnel("a.example", port).await;
    let stream = handshake(config, "a.example", stream).await.ok()?;
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).cloned();
    assert_eq!(Client::new(stream).ask(&get(port, "/")).await, OK);
    shown
}

/// What is written of connections that passed as tunnels: rule, what failed, and the words.
fn fallen(inner: &Inner) -> Vec<(String, String, String)> {
    let records = inner.world.records();
    let fallen = records.iter().filter(|record| record["request"]["fallback"] == "tunnel");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    fallen
        .map(|record| {
            assert_eq!((&record["layer"], &record["decision"]), (&"connect".into(), &"allow".into()), "{record:#}");
            let request = &record["request"];
            (text(&record["rule"]), text(&request["failure"]), text(&request["detail"]))
        })
        .collect()
}

#[tokio::test]
async fn a_client_that_pins_fails_once_and_then_passes_as_a_tunnel() {
    let inner = Inner::new(&listed("")).await;
    let upstream = inner.upstream(|_| OK.to_owned()).await;
    let port = upstream.port();
    assert_eq!(connect(&inner, inner.pinned_config(), port).await, None);
    eventually(|| inner.world.refusals().len() == 1).await;
    inner.world.assert_refusals(&[("web", "client_handshake_failed")]);
    let detail = inner.world.records()[0]["request"]["detail"].as_str().unwrap().to_owned();
    assert!(
        detail.starts_with("untrusted_ca: ") && detail.ends_with("for 10 minutes connections to it pass as tunnels")
    );
    // The server's own certificate, and two more connections.
    for count in 1..3 {
        assert!(connect(&inner, inner.pinned_config(), port).await.is_some());
        assert_eq!(fallen(&inner).len(), count);
    }
    let (rule, failure, detail) = fallen(&inner).remove(0);
    assert_eq!((rule.as_str(), failure.as_str()), ("web", "client_handshake_failed"));
    assert!(detail.starts_with("lately, untrusted_ca: "), "{detail}");
    // Every one of the clients of this agent that talks to the host now sees the server itself.
    assert_eq!(connect(&inner, inner.client_config(), port).await, None);
    assert_eq!(upstream.received().len(), 2);
}

#[tokio::test]
async fn another_host_port_or_policy_knows_nothing_of_a_failure() {
    let rules = listed("") + &allow("other", "http.host == \"b.example\"");
    let inner = Inner::new(&rules.replace("[a.example]", "[a.example, b.example]")).await;
    let server = || {
        let names = vec!["a.example".to_owned(), "b.example".to_owned()];
        let both = CertificateParams::new(names).unwrap().subject_alt_names;
        serving(inner.server("a.example", |it| it.subject_alt_names = both), |_| OK.to_owned())
    };
    let (one, two) = (server().await, server().await);
    assert_eq!(connect(&inner, inner.pinned_config(), one.port()).await, None);
    assert!(connect(&inner, inner.pinned_config(), one.port()).await.is_some());
    // What does not fail is looked into as ever.
    assert!(connect(&inner, inner.client_config(), two.port()).await.is_some());
    let other = inner.tunnel("b.example", one.port()).await;
    assert!(handshake(inner.pinned_config(), "b.example", other).await.is_err());
    // The same policy loaded again is a new one.
    let again = Snapshot::clone(&inner.world.context.policy.load());
    inner.world.context.policy.store(Arc::new(again));
    assert_eq!(connect(&inner, inner.pinned_config(), one.port()).await, None);
    assert!(connect(&inner, inner.pinned_config(), one.port()).await.is_some());
    assert_eq!(fallen(&inner).len(), 2);
}

#[tokio::test]
async fn a_failure_opens_nothing_that_interception_would_have_refused() {
    let block = "  - { id: no-secret, action: block, condition: 'http.path.startsWith(\"/secret\")' }\n";
    let hold = "  - { id: ask, action: hold, condition: 'http.method == \"POST\"' }\n";
    let enrich = "  - { id: mark, action: enrich, condition: 'http.host == \"a.example\"', inject: [{ header: X-Mark, value: on }] }\n";
    let parts = format!("{LISTED}rules:\n{}", allow("web", "http.host == \"a.example\" && http.method == \"GET\""));
    let by_mode = listed("").replace("allow_private_ips", "mode: intercept, allow_private_ips");
    for (what, rules) in [
        ("strict", listed("").replace("hosts:", "strict: [a.example], hosts:")),
        ("mode: intercept", by_mode),
        ("a block rule on a path", listed(block)),
        ("a hold rule on a method", listed(hold)),
        ("an enrich rule", listed(enrich)),
        ("an allow rule on a method", parts),
    ] {
        let inner = Inner::new(&rules).await;
        let upstream = inner.upstream(|_| OK.to_owned()).await;
        for count in 1..3 {
            assert_eq!(connect(&inner, inner.pinned_config(), upstream.port()).await, None, "{what}");
            eventually(|| inner.world.refusals().len() == count).await;
        }
        let refusals = inner.world.refusals();
        assert!(refusals.iter().all(|(_, reason)| reason == "client_handshake_failed"), "{what}: {refusals:?}");
        assert_eq!((fallen(&inner).len(), upstream.connections()), (0, 0), "{what}");
    }
}

#[tokio::test]
async fn a_tunnel_goes_only_where_its_rule_says() {
    let rules = "interception: { hosts: [a.example] }\nrules:\n  - { id: web, action: allow, condition: 'http.host == \"a.example\"' }\n";
    let inner = Inner::new(rules).await;
    let upstream = inner.upstream(|_| OK.to_owned()).await;
    for _ in 0..2 {
        assert_eq!(connect(&inner, inner.pinned_config(), upstream.port()).await, None);
    }
    assert_eq!((fallen(&inner).len(), upstream.connections()), (0, 0));
}

#[tokio::test]
async fn without_a_certificate_for_the_host_or_a_protocol_in_common_it_passes_as_a_tunnel_at_once() {
    let inner = Inner::constrained(&listed(""), &["b.example"]).await;
    let upstream = inner.upstream(|_| OK.to_owned()).await;
    assert!(connect(&inner, inner.pinned_config(), upstream.port()).await.is_some());
    assert_eq!(fallen(&inner)[0].1, "cert_gen_failed");

    let inner = Inner::new(&listed("")).await;
    let mut server = inner.server("a.example", |_| {});
    server.alpn_protocols = vec![b"irc".to_vec()];
    let upstream = serving(server, |_| OK.to_owned()).await;
    let mut client = inner.pinned_config();
    client.alpn_protocols = vec![b"irc".to_vec()];
    assert!(connect(&inner, client, upstream.port()).await.is_some());
    assert_eq!(fallen(&inner)[0].1, "alpn_mismatch");
    assert_eq!(inner.world.refusals(), []);
}

#[tokio::test]
async fn a_connection_that_was_redirected_falls_back_likewise() {
    let inner = Inner::new(&listed("")).await;
    let upstream = inner.upstream(|_| OK.to_owned()).await;
    for takes_it in [false, true] {
        let client = inner.world.redirected(upstream.address).await;
        let shaken = handshake(inner.pinned_config(), "a.example", client.stream).await;
        assert_eq!(shaken.is_ok(), takes_it);
        eventually(|| inner.world.records().len() == 1 + usize::from(takes_it)).await;
    }
    assert_eq!(fallen(&inner)[0].1, "client_handshake_failed");
}

/// A client that trusts this certificate alone and offers these protocols.
fn trusting(root: &CertificateDer<'static>, protocols: &[&str]) -> ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    config
}

/// A server that nobody vouches for, and its certificate.
async fn self_signed() -> (Upstream, CertificateDer<'static>) {
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["a.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    let config = server_config(vec![own.der().clone()], &key);
    (serving(config, |_| OK.to_owned()).await, own.der().clone())
}

#[tokio::test]
async fn a_server_that_is_not_verified_is_left_to_the_client() {
    for protocols in [&[][..], &["http/1.1"], &["h2", "http/1.1"]] {
        let inner = Inner::new(&listed("")).await;
        let (upstream, own) = self_signed().await;
        assert!(connect(&inner, trusting(&own, protocols), upstream.port()).await.is_some(), "{protocols:?}");
        // A client that trusts the authority alone is not shown that certificate as if it were a good one.
        assert_eq!(connect(&inner, trusting(&inner.trusted, protocols), upstream.port()).await, None, "{protocols:?}");
        let fallen = fallen(&inner);
        assert!(
            fallen
                .iter()
                .all(|(rule, failure, _)| (rule.as_str(), failure.as_str()) == ("web", "upstream_handshake_failed"))
        );
        // Each time the proxy tried first, and then the client itself.
        assert_eq!((fallen.len(), upstream.connections(), upstream.received().len()), (2, 4, 1));
        assert_eq!(inner.world.refusals(), []);
    }
}

#[tokio::test]
async fn a_server_that_speaks_other_protocols_is_left_to_the_client() {
    let inner = Inner::new(&listed("")).await;
    let mut server = inner.server("a.example", |_| {});
    server.alpn_protocols = vec![b"irc".to_vec()];
    let upstream = serving(server, |_| OK.to_owned()).await;
    let client = trusting(&inner.servers_root, &["http/1.1", "irc"]);
    assert!(connect(&inner, client, upstream.port()).await.is_some());
    assert_eq!(fallen(&inner)[0].1, "alpn_mismatch");
}

#[tokio::test]
async fn a_server_that_is_not_verified_is_refused_inside_where_nothing_falls_back() {
    let inner = Inner::new(&listed("").replace("hosts:", "strict: [a.example], hosts:")).await;
    let (upstream, _) = self_signed().await;
    let mut client = inner.open(upstream.port()).await;
    // Nothing is dialled before a request.
    assert_eq!(upstream.connections(), 0);
    let answer = client.ask(&get(upstream.port(), "/")).await;
    assert!(answer.contains("X-Outcall-Failure-Reason: upstream_handshake_failed\r\n"), "{answer}");
    assert_eq!((fallen(&inner).len(), upstream.connections(), upstream.received().len()), (0, 1, 0));
}

#[tokio::test]
async fn the_connection_that_the_server_was_verified_on_carries_the_requests() {
    let inner = Inner::new(&listed("")).await;
    let upstream = inner.upstream(|_| OK.to_owned()).await;
    let mut client = inner.open(upstream.port()).await;
    for _ in 0..3 {
        assert_eq!(client.ask(&get(upstream.port(), "/")).await, OK);
    }
    assert_eq!((upstream.connections(), upstream.received().len(), fallen(&inner).len()), (1, 3, 0));
    // A server that cannot be reached is none that cannot be spoken to.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let answer = inner.open(gone).await.ask(&get(gone, "/")).await;
    assert!(answer.contains("X-Outcall-Failure-Reason: upstream_unreachable\r\n"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn failures_are_forgotten_in_time_and_never_grow() {
    let policy = Arc::new(policy(&listed("")));
    let failures = Failures::default();
    let agent: Arc<str> = "ci".into();
    let host = Host::parse("a.example").unwrap();
    let recall = |agent: &Arc<str>, port| failures.recall(agent, &host, port, &policy).map(|cause| cause.to_string());
    failures.remember(&agent, &host, 443, &policy, "pinned");
    assert_eq!(recall(&agent, 443).as_deref(), Some("pinned"));
    assert_eq!((recall(&"other".into(), 443), recall(&agent, 444)), (None, None));
    tokio::time::advance(Failures::lasting()).await;
    assert_eq!(recall(&agent, 443), None);
    for port in 0..10_000 {
        failures.remember(&agent, &host, port, &policy, "pinned");
    }
    let kept = (0..10_000).filter(|port| recall(&agent, *port).is_some()).count();
    assert!((512..=1024).contains(&kept), "{kept}");
}
