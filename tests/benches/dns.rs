//! Queries a second through the DNS filter over UDP on loopback, and the processor time they take: sockets, judgement, cache
//! and audit log included. Server and client are a thread each.
//!
//! `cargo bench -p outcall-tests --bench dns`
#![cfg_attr(test, expect(clippy::expect_used, reason = "benches stop when they cannot be set up"))]

mod cpu;

use std::hint::black_box;
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use cpu::CpuTime;
use criterion::measurement::Measurement;
use criterion::{BenchmarkId, Criterion, Throughput};
use outcall_compiler::Missing;
use outcall_runtime::audit::Audit;
use outcall_runtime::dial::Dialer;
use outcall_runtime::dns::{Filter, Resolver};
use outcall_runtime::identity::OneAgent;
use outcall_runtime::load::{Authority, Trust, from_dir};
use outcall_runtime::snapshot::in_force;
use outcall_tests::fixtures::dns::{Responder, query};
use rustix::time::ClockId;

const RULES: &str = r#"
version: "1"
rules:
  - id: web
    condition: http.host == "allowed.test"
    action: allow
"#;

/// Queries that are on their way at a time, as many as a busy resolver library has.
const IN_FLIGHT: u16 = 32;

/// A filter with an upstream, each on a thread of its own that lives as long as the process; the filter's address.
fn start() -> std::net::SocketAddr {
    let directory = tempfile::tempdir().expect("a directory");
    let rules = directory.path().join("rules.yaml");
    std::fs::write(&rules, RULES).expect("the rules");
    let artifacts = outcall_compiler::compile(&[rules], Missing::Refused).artifacts.expect("a policy");
    for (name, bytes) in artifacts.files() {
        std::fs::write(directory.path().join(name), bytes).expect("an artifact");
    }
    let snapshot = from_dir(directory.path(), Authority::Absent, &Trust::unsigned()).expect("what was just written");
    let upstream = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let resolver = Resolver::new(vec![upstream.local_addr().expect("bound")], Dialer::new());
    std::thread::spawn(move || {
        let responder = Responder::default();
        let mut buffer = [0; 4096];
        while let Ok((length, peer)) = upstream.recv_from(&mut buffer) {
            if let (_, Some(reply)) = responder.respond(buffer.get(..length).unwrap_or_default(), "udp") {
                let _ = upstream.send_to(&reply, peer);
            }
        }
    });
    let log = std::fs::OpenOptions::new().write(true).open("/dev/null").expect("/dev/null");
    let audit = Audit::to_file(log).expect("a thread");
    let filter = Filter::new(in_force(snapshot), Arc::new(OneAgent::named("bench")), audit, resolver);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let address = socket.local_addr().expect("bound");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(filter.serve(vec![socket], Vec::new())).expect("a filter");
    });
    address
}

fn main() {
    let client = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    client.connect(start()).expect("an address");
    client.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    let mut wall = Criterion::default().configure_from_args();
    throughput(&mut wall, "wall", &client);
    let mut cpu = Criterion::default().with_measurement(CpuTime(ClockId::ProcessCPUTime)).configure_from_args();
    throughput(&mut cpu, "cpu", &client);
    wall.final_summary();
}

fn throughput<M: Measurement>(criterion: &mut Criterion<M>, clock: &str, client: &UdpSocket) {
    let mut group = criterion.benchmark_group(format!("{clock}_query"));
    group.throughput(Throughput::Elements(IN_FLIGHT.into()));
    for (what, name, rcode) in [("cached", "allowed.test", 0), ("refused", "evil.test", 3)] {
        let queries: Vec<Vec<u8>> = (0..IN_FLIGHT).map(|id| query(id, name, 1)).collect();
        let mut buffer = [0; 4096];
        group.bench_function(BenchmarkId::from_parameter(what), |bencher| {
            bencher.iter(|| {
                for query in &queries {
                    client.send(query).expect("a query");
                }
                for _ in &queries {
                    client.recv(&mut buffer).expect("a reply");
                    assert_eq!(buffer.get(3).map(|flags| flags & 15), Some(rcode));
                    black_box(&buffer);
                }
            });
        });
    }
    group.finish();
}
