//! Leaves over time and under many hands, and the handshakes that they serve.

use std::sync::Barrier;

use outcall_schema::ca::{Authority, Wanted};
use proptest::prelude::*;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, RootCertStore, ServerConnection};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn leaves_for(domains: &[&str], ttl: u64) -> Leaves {
    let domains = domains.iter().map(|it| (*it).to_owned()).collect();
    let wanted = Wanted { algorithm: Algorithm::EcdsaP256, domains, now: SystemTime::now() };
    let issuer = Issuer::new(Authority::make(&wanted).unwrap()).unwrap();
    Leaves::new(issuer, LeafTtl::from_secs(ttl).unwrap()).unwrap()
}

fn leaves() -> Leaves {
    leaves_for(&[], 86_400)
}

fn host(text: &str) -> Host {
    Host::parse(text).unwrap()
}

/// A client that trusts this authority alone.
fn client(leaves: &Leaves) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(leaves.authority().der().to_vec().into()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

struct Shaken {
    client: ClientConnection,
    server: ServerConnection,
}

/// A handshake in memory, and the tickets after it.
fn shake(client: Arc<ClientConfig>, name: &str, server: Arc<ServerConfig>) -> Result<Shaken, rustls::Error> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(client, name).unwrap();
    let mut server = ServerConnection::new(server).unwrap();
    for _ in 0..8 {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets()?;
        }
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest).unwrap();
            client.process_new_packets()?;
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok(Shaken { client, server })
}

#[test]
fn a_client_that_trusts_the_authority_accepts_each_kind_of_host() {
    let leaves = leaves();
    let config = Arc::new(client(&leaves));
    let long = [["x"; 60].concat(), ["y"; 60].concat(), "example".to_owned()].join(".");
    for name in ["a.example", "192.0.2.1", "2001:db8::1", long.as_str()] {
        let leaf = leaves.leaf(&host(name)).unwrap();
        let shaken = shake(Arc::clone(&config), name, leaf.server_config(Protocol::Http11)).unwrap();
        assert_eq!(shaken.client.protocol_version(), Some(ProtocolVersion::TLSv1_3));
        assert_eq!(shaken.client.alpn_protocol(), Some(b"http/1.1".as_slice()));
        assert_eq!(shaken.client.peer_certificates().unwrap().len(), 1, "clients have the root");
    }
    let leaf = leaves.leaf(&host("a.example")).unwrap();
    assert!(
        shake(Arc::clone(&config), "b.example", leaf.server_config(Protocol::Http11)).is_err(),
        "one host and no other"
    );
    let only = leaf.server_config(Protocol::H2);
    assert_eq!(shake(config, "a.example", only).unwrap().client.alpn_protocol(), Some(b"h2".as_slice()));
}

#[test]
fn tls_1_2_is_spoken_too() {
    let leaves = leaves();
    let mut roots = RootCertStore::empty();
    roots.add(leaves.authority().der().to_vec().into()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let config = Arc::new(config);
    let a = leaves.leaf(&host("a.example")).unwrap();
    let first = shake(Arc::clone(&config), "a.example", a.server_config(Protocol::Http11)).unwrap();
    assert_eq!(first.client.protocol_version(), Some(ProtocolVersion::TLSv1_2));
    let second = shake(config, "a.example", a.server_config(Protocol::Http11)).unwrap();
    assert_eq!(second.server.handshake_kind(), Some(HandshakeKind::Resumed));
}

/// A client's memory of sessions that mistakes every server for the same one.
#[derive(Debug)]
struct Confused(rustls::client::ClientSessionMemoryCache);

fn one() -> ServerName<'static> {
    ServerName::try_from("one.example").unwrap()
}

impl rustls::client::ClientSessionStore for Confused {
    fn set_kx_hint(&self, _: ServerName<'static>, group: rustls::NamedGroup) {
        self.0.set_kx_hint(one(), group);
    }
    fn kx_hint(&self, _: &ServerName<'_>) -> Option<rustls::NamedGroup> {
        self.0.kx_hint(&one())
    }
    fn set_tls12_session(&self, _: ServerName<'static>, value: rustls::client::Tls12ClientSessionValue) {
        self.0.set_tls12_session(one(), value);
    }
    fn tls12_session(&self, _: &ServerName<'_>) -> Option<rustls::client::Tls12ClientSessionValue> {
        self.0.tls12_session(&one())
    }
    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.0.remove_tls12_session(&one());
    }
    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: rustls::client::Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(one(), value);
    }
    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<rustls::client::Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(&one())
    }
}

#[test]
fn a_session_is_resumed_for_its_host_and_for_no_other() {
    for sni in [true, false] {
        let leaves = leaves();
        let mut config = client(&leaves);
        let store = Arc::new(Confused(rustls::client::ClientSessionMemoryCache::new(32)));
        config.resumption = rustls::client::Resumption::store(store);
        config.enable_sni = sni;
        let config = Arc::new(config);
        let (a, b) = (leaves.leaf(&host("a.example")).unwrap(), leaves.leaf(&host("b.example")).unwrap());
        let kind = |name: &str, leaf: &Leaf| {
            shake(Arc::clone(&config), name, leaf.server_config(Protocol::Http11)).unwrap().server.handshake_kind()
        };
        assert_eq!(kind("a.example", &a), Some(HandshakeKind::Full));
        assert_eq!(kind("a.example", &a), Some(HandshakeKind::Resumed));
        assert_eq!(kind("b.example", &b), Some(HandshakeKind::Full), "another host, SNI {sni}");
        leaves.flush();
        let again = leaves.leaf(&host("b.example")).unwrap();
        assert_eq!(kind("b.example", &again), Some(HandshakeKind::Resumed), "the host counts, not the leaf");
    }
}

#[test]
fn a_leaf_that_is_let_go_of_serves_the_handshake_it_is_in() {
    let leaves = leaves();
    let config = Arc::new(client(&leaves));
    let leaf = leaves.leaf(&host("a.example")).unwrap();
    let held = leaf.server_config(Protocol::Http11);
    drop(leaf);
    for number in 0..2 * MAX {
        leaves.leaf(&host(&format!("h{number}.example"))).unwrap();
    }
    assert_eq!((leaves.len(), leaves.max()), (MAX, 1024));
    assert_eq!(leaves.flush(), MAX);
    assert!(leaves.is_empty());
    assert!(shake(config, "a.example", held).is_ok());
}

#[test]
fn many_who_ask_first_get_one_leaf() {
    let leaves = leaves();
    let barrier = Barrier::new(16);
    let found: Vec<Arc<Leaf>> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    leaves.leaf(&host("a.example")).unwrap()
                })
            })
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert!(found.iter().all(|leaf| Arc::ptr_eq(leaf, &found[0])));
}

#[test]
fn the_leaf_asked_for_longest_ago_makes_room() {
    let leaves = leaves();
    let name = |number: usize| host(&format!("h{number}.example"));
    let first: Vec<Arc<Leaf>> = (0..MAX).map(|number| leaves.leaf(&name(number)).unwrap()).collect();
    leaves.leaf(&name(0)).unwrap();
    leaves.leaf(&host("new.example")).unwrap();
    let same = |number: usize| Arc::ptr_eq(&first[number], &leaves.leaf(&name(number)).unwrap());
    assert!(same(0) && same(2) && !same(1));
}

#[test]
fn a_leaf_is_minted_again_before_it_ends() {
    let leaves = leaves_for(&[], 60);
    let a = host("a.example");
    let now = SystemTime::now();
    let first = leaves.leaf_at(&a, now).unwrap();
    let same = |seconds: u32| Arc::ptr_eq(&first, &leaves.leaf_at(&a, now + SECOND * seconds).unwrap());
    assert!(same(44));
    assert!(!same(45));
    let late = leaves.leaf_at(&a, now + SECOND * 50_000).unwrap();
    let back =
        |seconds: u32| Arc::ptr_eq(&late, &leaves.leaf_at(&a, now + SECOND * 50_000 - SECOND * seconds).unwrap());
    assert!(back(86_400), "the clock was set back, and it is dated back as far");
    assert!(!back(86_401), "and further");
}

#[test]
fn near_the_authoritys_end_leaves_end_with_it() {
    let leaves = leaves();
    let a = host("a.example");
    let end = leaves.authority().not_after();
    let last = leaves.leaf_at(&a, end - SECOND * 10).unwrap();
    assert!(Arc::ptr_eq(&last, &leaves.leaf_at(&a, end - SECOND).unwrap()), "another would be valid no longer");
    assert!(matches!(leaves.leaf_at(&a, end + SECOND), Err(CaError::Expired { .. })));
    let before = leaves.authority().not_before() - SECOND;
    assert!(matches!(leaves.leaf_at(&a, before), Err(CaError::NotYet { .. })));
}

#[test]
fn what_the_authority_may_not_sign_takes_no_room() {
    let leaves = leaves_for(&["example.com"], 60);
    for name in ["a.example", "192.0.2.1"] {
        assert!(matches!(leaves.leaf(&host(name)), Err(CaError::NotPermitted { .. })));
    }
    assert!(leaves.is_empty());
    leaves.leaf(&host("a.example.com")).unwrap();
    assert_eq!(leaves.len(), 1);
}

#[test]
fn times_to_live_have_bounds() {
    for (seconds, fine) in [(0, false), (59, false), (60, true), (604_800, true), (604_801, false), (u64::MAX, false)] {
        assert_eq!(LeafTtl::from_secs(seconds).is_some(), fine, "{seconds}");
    }
    assert_eq!(Some(LeafTtl::default()), LeafTtl::from_secs(86_400));
}

#[test]
fn keys_do_not_show_themselves() {
    let leaves = leaves();
    let leaf = leaves.leaf(&host("a.example")).unwrap();
    let shown = format!("{leaves:?} {leaf:?}");
    leaves.key.with_pkcs8(|der| assert!(!shown.contains(&format!("{der:?}")[1..40]))).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn whatever_is_asked_in_whatever_order_the_cache_stays_within_its_bounds(
        asked in proptest::collection::vec((0_u16..1100, 0_u32..120), 1..400)
    ) {
        let leaves = leaves_for(&[], 60);
        let now = SystemTime::now();
        for (number, later) in asked {
            let host = host(&format!("h{number}.example"));
            let now = now + SECOND * later;
            let leaf = leaves.leaf_at(&host, now).unwrap();
            prop_assert!(leaf.is_fresh(now));
            prop_assert!(leaves.len() <= MAX);
        }
    }
}

#[test]
fn what_is_kept_is_there_at_once_and_what_is_not_is_not_made() {
    let leaves = leaves();
    assert!(leaves.kept(&host("a.example")).is_none());
    assert!(leaves.is_empty());
    let leaf = leaves.leaf(&host("a.example")).unwrap();
    assert!(Arc::ptr_eq(&leaf, &leaves.kept(&host("a.example")).unwrap()));
    leaves.flush();
    assert!(leaves.kept(&host("a.example")).is_none());
}
