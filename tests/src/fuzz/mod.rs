//! Fuzzing on a stable compiler: seeds, a mutator, and for every reader of foreign bytes a target that must survive.
//!
//! `tests/tests/fuzz.rs` runs each target for a second under `cargo test`; `tests/fuzz/run` does for as long as it is told.
//! An input that made a target fail goes to `tests/fuzz/corpus` with the fix, and is tried first for ever after.

mod artifacts;
mod authorities;
mod codings;
pub mod facts;
mod heads;
pub mod mutate;
mod redaction;
mod signatures;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mutate::Random;
pub use targets::TARGETS;

/// One reader of foreign bytes.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, also of its directory in the corpus.
    pub name: &'static str,
    /// Inputs that the reader knows, to start from.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Pieces that mean something to it.
    pub words: &'static [&'static str],
    /// Panics when something is wrong; anything else is fine.
    pub check: fn(&[u8]),
}

/// An input may take this long on a busy machine in a build that checks everything; what takes longer is a hang.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tries `target` for `time`, the corpus first; gives how many inputs were tried.
///
/// # Panics
/// When an input makes the target fail, after writing that input, made small, beside the build's output.
#[expect(clippy::panic, clippy::expect_used, reason = "this is an assertion")]
pub fn run(target: &Target, time: Duration, seed: u64) -> u64 {
    let mut random = Random::new(seed ^ mutate::hash(target.name.as_bytes()));
    let mut pool = corpus(target.name);
    pool.extend((target.seeds)());
    assert!(!pool.is_empty(), "{} has seeds", target.name);
    // A failure is reported once, at its end, and not for each try on the way to a small input.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let outcome = search(target, time, &mut random, &pool);
    std::panic::set_hook(hook);
    match outcome {
        Ok(tried) => tried,
        Err((why, small)) => {
            let path = std::env::temp_dir().join(format!("{}-{:016x}", target.name, mutate::hash(&small)));
            std::fs::write(&path, &small).expect("a temporary file");
            panic!(
                "{} fails with {why} (seed {seed}); the input is in {}, for tests/fuzz/corpus/{}: {:?}",
                target.name,
                path.display(),
                target.name,
                String::from_utf8_lossy(small.get(..small.len().min(400)).unwrap_or_default())
            );
        }
    }
}

/// The number of inputs tried, or why one failed and a small one that does as well.
fn search(target: &Target, time: Duration, random: &mut Random, pool: &[Vec<u8>]) -> Result<u64, (String, Vec<u8>)> {
    let mut tried = 0;
    let began = Instant::now();
    let mut kept = pool.to_vec();
    while tried < pool.len() as u64 || began.elapsed() < time {
        let input = match usize::try_from(tried).ok().and_then(|at| pool.get(at)) {
            Some(whole) => whole.clone(),
            None => mutate::mutate(random, &kept, target.words),
        };
        tried += 1;
        if let Err(why) = attempt(target, &input) {
            return Err((why, shrink(target, input)));
        }
        // Mutations of mutations reach further; the pool stays small.
        if random.below(50) == 0 && input.len() < 8192 {
            if kept.len() > 400 {
                kept.truncate(pool.len());
            }
            kept.push(input);
        }
    }
    Ok(tried)
}

fn attempt(target: &Target, input: &[u8]) -> Result<(), String> {
    let began = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| (target.check)(input)));
    match outcome {
        Err(why) => {
            let text = why.downcast_ref::<String>().cloned();
            Err(text.or_else(|| why.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
        }
        Ok(()) if began.elapsed() > PATIENCE => Err(format!("{:?} for one input", began.elapsed())),
        Ok(()) => Ok(()),
    }
}

/// Takes pieces away for as long as it still fails, a few seconds at most.
fn shrink(target: &Target, mut input: Vec<u8>) -> Vec<u8> {
    let until = Instant::now() + Duration::from_secs(5);
    let mut piece = input.len() / 2;
    while piece > 0 && Instant::now() < until {
        let mut at = 0;
        while at + piece <= input.len() && Instant::now() < until {
            let mut shorter = input.clone();
            shorter.drain(at..at + piece);
            if attempt(target, &shorter).is_err() {
                input = shorter;
            } else {
                at += piece;
            }
        }
        piece /= 2;
    }
    input
}

/// The inputs that once failed.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(dir).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    files.into_iter().filter_map(|file| std::fs::read(file).ok()).collect()
}
