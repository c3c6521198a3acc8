//! Every fuzz target for a short while. `OUTCALL_FUZZ_SECONDS` and `OUTCALL_FUZZ_SEED` make it longer and different;
//! `tests/fuzz/run` sets them.
#![cfg(test)]

use std::time::Duration;

use outcall_tests::fuzz::{TARGETS, Target, run};

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn every_target_survives() {
    let time = setting("OUTCALL_FUZZ_SECONDS").map_or(Duration::from_millis(1000), Duration::from_secs);
    let seed = setting("OUTCALL_FUZZ_SEED").unwrap_or(1);
    let only = std::env::var("OUTCALL_FUZZ_TARGET").ok();
    let wanted: Vec<&Target> =
        TARGETS.iter().filter(|target| only.as_ref().is_none_or(|only| target.name == only)).collect();
    assert!(!wanted.is_empty(), "there is such a target");
    let all = run(&wanted, time, seed);
    assert_eq!(all.len(), wanted.len(), "each was tried");
    for tried in &all {
        println!("{:20} {} inputs in {time:?}, seed {seed}", tried.name, tried.inputs);
    }
    let failed: Vec<String> = all
        .iter()
        .filter_map(|tried| match &tried.failure {
            Some(why) => Some(format!("{} fails with {why}", tried.name)),
            None if tried.inputs <= 20 => Some(format!("{} is too slow to fuzz: {} inputs", tried.name, tried.inputs)),
            None => None,
        })
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn the_corpus_has_no_directory_without_a_target() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir()) {
        let name = entry.file_name().into_string().unwrap();
        assert!(TARGETS.iter().any(|target| target.name == name), "{name} is no target");
    }
}
