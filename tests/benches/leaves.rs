//! Certificates for hosts: minting one under each kind of authority, finding one that is kept, ten thousand hosts in turn, a
//! whole handshake; beside them what rcgen alone takes for a leaf with a key of its own.
//!
//! `cargo bench -p outcall-tests --bench leaves`
#![cfg_attr(test, expect(clippy::expect_used, reason = "benches stop when they cannot be set up"))]

use std::hint::black_box;
use std::sync::Arc;
use std::time::SystemTime;

use criterion::{BenchmarkId, Criterion};
use outcall_runtime::intercept::upstream::Protocol;
use outcall_runtime::intercept::{LeafTtl, Leaves};
use outcall_schema::ca::{Algorithm, Authority, Issuer, Wanted};
use outcall_schema::host::Host;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};

const KINDS: [(&str, Algorithm); 3] =
    [("p256", Algorithm::EcdsaP256), ("p384", Algorithm::EcdsaP384), ("rsa4096", Algorithm::Rsa)];
/// Ten times as many as are kept.
const ROTATION: usize = 10_000;

fn leaves(algorithm: Algorithm) -> Leaves {
    let wanted = Wanted { algorithm, domains: Vec::new(), now: SystemTime::now() };
    let issuer = Issuer::new(Authority::make(&wanted).expect("an authority")).expect("one that signs");
    Leaves::new(issuer, LeafTtl::default()).expect("leaves")
}

fn hosts() -> Vec<Host> {
    (0..ROTATION).map(|number| Host::Name(format!("host{number}.example"))).collect()
}

fn mint(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("leaf_mint");
    let hosts = hosts();
    for (name, algorithm) in KINDS {
        let leaves = leaves(algorithm);
        let mut next = hosts.iter().cycle();
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| leaves.leaf(black_box(next.next().expect("endless"))).expect("a leaf"));
        });
        assert!(leaves.len() <= leaves.max());
    }
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut parameters = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    let issuer = rcgen::Issuer::new(parameters, key);
    group.bench_function(BenchmarkId::from_parameter("rcgen_p256"), |bencher| {
        bencher.iter(|| {
            let key = rcgen::KeyPair::generate().expect("a key");
            let parameters = rcgen::CertificateParams::new(vec!["host.example".to_owned()]).expect("parameters");
            parameters.signed_by(&key, &issuer).expect("a leaf")
        });
    });
    group.finish();
}

fn kept(criterion: &mut Criterion) {
    let leaves = leaves(Algorithm::EcdsaP256);
    let hosts: Vec<Host> = hosts().into_iter().take(leaves.max()).collect();
    for host in &hosts {
        leaves.leaf(host).expect("a leaf");
    }
    let mut next = hosts.iter().cycle();
    criterion.bench_function("leaf_kept", |bencher| {
        bencher.iter(|| leaves.leaf(black_box(next.next().expect("endless"))).expect("a leaf"));
    });
}

fn shake(client: &Arc<ClientConfig>, name: &ServerName<'static>, server: Arc<ServerConfig>) {
    let mut client = ClientConnection::new(Arc::clone(client), name.clone()).expect("a client");
    let mut server = ServerConnection::new(server).expect("a server");
    let mut bytes = Vec::new();
    while client.is_handshaking() || server.is_handshaking() {
        while client.wants_write() {
            client.write_tls(&mut bytes).expect("memory");
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            server.read_tls(&mut rest).expect("memory");
            server.process_new_packets().expect("a handshake");
        }
        bytes.clear();
        while server.wants_write() {
            server.write_tls(&mut bytes).expect("memory");
        }
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            client.read_tls(&mut rest).expect("memory");
            client.process_new_packets().expect("a handshake");
        }
        bytes.clear();
    }
}

fn handshake(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("leaf_handshake");
    let leaves = leaves(Algorithm::EcdsaP256);
    let host = Host::Name("host.example".to_owned());
    let name = ServerName::try_from("host.example").expect("a name");
    let mut roots = RootCertStore::empty();
    roots.add(leaves.authority().der().to_vec().into()).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let resuming = Arc::new(config.clone());
    config.resumption = rustls::client::Resumption::disabled();
    for (kind, config) in [("full", Arc::new(config)), ("resumed", resuming)] {
        group.bench_function(BenchmarkId::from_parameter(kind), |bencher| {
            bencher.iter(|| shake(&config, &name, leaves.leaf(&host).expect("a leaf").server_config(Protocol::Http11)));
        });
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    mint(&mut criterion);
    kept(&mut criterion);
    handshake(&mut criterion);
    criterion.final_summary();
}
