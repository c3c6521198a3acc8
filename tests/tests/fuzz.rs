//! Every fuzz target for a short while. `OUTCALL_FUZZ_SECONDS` and `OUTCALL_FUZZ_SEED` make it longer and different;
//! `tests/fuzz/run` sets them.
#![cfg(test)]

use std::time::Duration;

use outcall_tests::fuzz::{TARGETS, run};

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn every_target_survives() {
    let time = setting("OUTCALL_FUZZ_SECONDS").map_or(Duration::from_millis(1000), Duration::from_secs);
    let seed = setting("OUTCALL_FUZZ_SEED").unwrap_or(1);
    let only = std::env::var("OUTCALL_FUZZ_TARGET").ok();
    for target in TARGETS.iter().filter(|target| only.as_ref().is_none_or(|only| target.name == only)) {
        let tried = run(target, time, seed);
        println!("{:20} {tried} inputs in {time:?}, seed {seed}", target.name);
        assert!(tried > 20, "{} is too slow to fuzz: {tried} inputs in {time:?}", target.name);
    }
}

#[test]
fn the_corpus_has_no_directory_without_a_target() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir()) {
        let name = entry.file_name().into_string().unwrap();
        assert!(TARGETS.iter().any(|target| target.name == name), "{name} is no target");
    }
}
