//! Fuzzing on a stable compiler: seeds, a mutator, and for every reader of foreign bytes a target that must survive.
//!
//! `tests/tests/fuzz.rs` runs each target for a second under `cargo test` and for ten in CI; `tests/fuzz/run` does for as long as
//! it is told.
//! An input that made a target fail goes to `tests/fuzz/corpus` with the fix, and is tried first for ever after.

mod artifacts;
mod authorities;
mod codings;
mod connections;
pub mod facts;
mod heads;
pub mod mutate;
mod redaction;
mod served;
mod signatures;
mod sockets;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
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

/// What came of one target.
#[derive(Debug, Clone)]
pub struct Tried {
    /// Its name.
    pub name: &'static str,
    /// How many inputs were tried.
    pub inputs: u64,
    /// What is wrong, and where an input is that shows it.
    pub failure: Option<String>,
}

/// Tries each of these targets for `time`, the corpus first, a few at once: one more than there are cores, as the time is the
/// wall's and some targets wait. A failing input is made small and written beside other temporary files.
pub fn run(targets: &[&'static Target], time: Duration, seed: u64) -> Vec<Tried> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from) + 1;
    let queue = Mutex::new(targets.iter());
    let done = Mutex::new(Vec::new());
    // A failure is reported once, at its end, and not for each try on the way to a small input.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(served::note));
    std::thread::scope(|scope| {
        for _ in 0..threads.min(targets.len()) {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(target) = next else { return };
                    let tried = one(target, time, seed);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push(tried);
                }
            });
        }
    });
    std::panic::set_hook(hook);
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn one(target: &Target, time: Duration, seed: u64) -> Tried {
    let mut random = Random::new(seed ^ mutate::hash(target.name.as_bytes()));
    let mut pool = corpus(target.name);
    pool.extend((target.seeds)());
    if pool.is_empty() {
        return Tried { name: target.name, inputs: 0, failure: Some("it has no seeds".to_owned()) };
    }
    match search(target, time, &mut random, &pool) {
        Ok(inputs) => Tried { name: target.name, inputs, failure: None },
        Err((why, small)) => {
            let path = std::env::temp_dir().join(format!("{}-{:016x}", target.name, mutate::hash(&small)));
            let written =
                std::fs::write(&path, &small).map_or_else(|error| error.to_string(), |()| path.display().to_string());
            let shown = String::from_utf8_lossy(small.get(..small.len().min(400)).unwrap_or_default()).into_owned();
            let name = target.name;
            let why =
                format!("{why} (seed {seed}); the input is in {written}, for tests/fuzz/corpus/{name}: {shown:?}");
            Tried { name, inputs: 0, failure: Some(why) }
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
