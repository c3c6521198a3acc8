//! How long a decision takes, by the number of rules, beside the plain way: every rule's own CEL program tried in order.
//!
//! `cargo bench -p outcall-tests --bench decision`. Times are of the processor. Under `cargo test` each bench runs once, on small policies, and both
//! ways must come to the same rule.
#![cfg_attr(test, expect(clippy::expect_used, reason = "benches stop when they cannot be set up"))]

mod cpu;

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use cpu::CpuTime;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use outcall_compiler::{Missing, compile};
use outcall_schema::artifact::dns_table::DnsTable;
use outcall_schema::artifact::match_program::MatchProgram;
use outcall_schema::facts::{Fact, Facts};
use outcall_schema::layer::Layer;
use outcall_tests::scale::{self, Kind, SIZES};
use rustix::time::ClockId;

/// Requests in a round: enough that neither the branch predictor nor the first cache line knows them all.
const REQUESTS: usize = 1024;

fn compiled(kind: Kind, rules: usize) -> (MatchProgram, DnsTable) {
    let dir = tempfile::tempdir().expect("a directory");
    scale::write(kind, rules, dir.path()).expect("rule files");
    let compilation = compile(&[Path::to_owned(dir.path())], Missing::Refused);
    let artifacts = compilation.artifacts.unwrap_or_else(|| unreachable!("{:?}", compilation.findings.first()));
    let program = MatchProgram::from_bytes(Arc::from(artifacts.proxy)).expect("what was just written");
    (program, DnsTable::from_bytes(Arc::from(artifacts.dns)).expect("what was just written"))
}

fn decisions(criterion: &mut Criterion<CpuTime>) {
    // Without `--bench` everything runs once, to see that it still does.
    let short = !std::env::args().any(|argument| argument == "--bench");
    let sizes: Vec<usize> = SIZES.into_iter().filter(|size| !short || *size <= 1_000).collect();
    for kind in Kind::ALL {
        let mut group = criterion.benchmark_group(kind.name());
        for &rules in &sizes {
            let (program, names) = compiled(kind, rules);
            let requests = scale::requests(kind, rules, REQUESTS);
            let facts: Vec<Facts<'_>> = requests.iter().map(scale::Request::facts).collect();
            let mut next = (0..facts.len()).cycle();
            group.bench_function(BenchmarkId::new("http", rules), |bencher| {
                bencher.iter(|| {
                    let facts = next.next().and_then(|at| facts.get(at));
                    facts.map(|facts| black_box(program.decide(Layer::Http, black_box(facts))))
                });
            });
            let queries: Vec<Facts<'_>> = requests
                .iter()
                .map(|request| Facts {
                    dns_query: Fact::Known(&request.host),
                    dns_record_type: Fact::Known("A"),
                    agent_name: Fact::Known(&request.agent),
                    ..Facts::default()
                })
                .collect();
            group.bench_function(BenchmarkId::new("dns", rules), |bencher| {
                bencher.iter(|| {
                    let facts = next.next().and_then(|at| queries.get(at));
                    facts.map(|facts| black_box(names.lookup(black_box(facts))))
                });
            });
            // The peer, where one decision still takes less than a tenth of a second.
            let programs = scale::programs(kind, rules);
            let contexts: Vec<_> = requests.iter().take(64).map(scale::Request::context).collect();
            for (context, facts) in contexts.iter().zip(&facts) {
                let plain = scale::first_true(&programs, context);
                assert_eq!(scale::decided(program.decide(Layer::Http, facts)), plain, "{} rules", kind.name());
            }
            let mut next = (0..contexts.len()).cycle();
            group.sample_size(if rules > 1_000 { 10 } else { 100 });
            group.bench_function(BenchmarkId::new("linear-cel", rules), |bencher| {
                bencher.iter(|| {
                    let context = next.next().and_then(|at| contexts.get(at));
                    context.map(|context| black_box(scale::first_true(&programs, black_box(context))))
                });
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime(ClockId::ThreadCPUTime));
    targets = decisions
}
criterion_main!(benches);
