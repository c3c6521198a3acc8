//! Compile time, peak memory and artifact sizes by the number of rules, as a table in Markdown.
//!
//! `cargo run --release -p outcall-tests --bin outcall-scale [review] [SIZE]...`. Each size is compiled by a process of its own,
//! which tells its own peak of resident memory as the kernel counted it. With `review`, what a reviewer waits for: all lints,
//! and what changed between two policies.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use outcall_compiler::analyse::diff;
use outcall_compiler::diag::render::{Colour, human};
use outcall_compiler::{Missing, compile};
use outcall_tests::scale::{self, Kind, SIZES};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["one", dir] => one(Path::new(dir)),
        ["check", dir] => check(Path::new(dir)),
        ["diff", old, new] => compare(Path::new(old), Path::new(new)),
        ["parse", rules] => rules.parse().map_err(|_| "how many rules?".to_owned()).and_then(parse),
        ["review", sizes @ ..] => review(&numbers(sizes)),
        sizes => table(&numbers(sizes)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("outcall-scale: {why}");
            ExitCode::FAILURE
        }
    }
}

fn numbers(sizes: &[&str]) -> Vec<usize> {
    let sizes: Vec<usize> = sizes.iter().filter_map(|size| size.parse().ok()).collect();
    if sizes.is_empty() { SIZES.to_vec() } else { sizes }
}

/// A table of what a reviewer waits for.
fn review(sizes: &[usize]) -> Result<(), String> {
    println!("| rules | hosts | | processor time | wall | peak memory | found |");
    println!("|---:|---:|---|---:|---:|---:|---:|");
    for &rules in sizes {
        let [old, new] = [tempfile::tempdir(), tempfile::tempdir()].map(|dir| dir.map_err(|error| error.to_string()));
        let (old, new) = (old?, new?);
        let wrong = |error: std::io::Error| error.to_string();
        scale::write(Kind::Review, rules, old.path()).map_err(wrong)?;
        // Of a thousand rules, one is gone, one allows another method and one a shorter path.
        let edit = |condition: String, number: usize| match number % 1_000 {
            104 => None,
            251 => Some(condition.replace("\"HEAD\"", "\"HEAD\", \"POST\"")),
            507 => Some(condition.replace("/v0/", "/v").replace("/v1/", "/v").replace("/v2/", "/v")),
            _ => Some(condition),
        };
        scale::write_edited(Kind::Review, rules, new.path(), &edit).map_err(wrong)?;
        let paths = [old.path(), new.path()].map(|path| path.to_string_lossy().into_owned());
        let [old, new] = paths.each_ref().map(String::as_str);
        for (name, words) in [
            ("`compile --check`, all lints", vec!["check", old]),
            ("`diff`", vec!["diff", old, new]),
            ("the `cel` crate, parsing alone", vec!["parse", &rules.to_string()]),
        ] {
            let mut runs = (0..RUNS).map(|_| apart(&words)).collect::<Result<Vec<Run>, String>>()?;
            let found = runs.first().map(|run| run.found).unwrap_or_default();
            let [processor, wall, peak] = times(&mut runs).ok_or("no run")?;
            println!("| {rules} | {} | {name} | {processor} | {wall} | {peak} | {found} |", rules.div_ceil(5));
        }
    }
    Ok(())
}

fn table(sizes: &[usize]) -> Result<(), String> {
    println!(
        "| policy | rules | processor time | wall | peak memory | dns.table | proxy.prog | outcall.nft | manifest.json |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    for kind in Kind::ALL {
        for &rules in sizes {
            let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
            scale::write(kind, rules, dir.path()).map_err(|error| error.to_string())?;
            let mut runs = (0..RUNS)
                .map(|_| apart(&["one", &dir.path().to_string_lossy()]))
                .collect::<Result<Vec<Run>, String>>()?;
            let row = row(&mut runs).ok_or("no run")?;
            println!("| {} | {rules} | {row} |", kind.name());
        }
    }
    Ok(())
}

/// Compilations of one policy: three show whether a number can be trusted.
const RUNS: usize = 3;

/// What one compilation took.
#[derive(Serialize, Deserialize)]
struct Run {
    processor_ms: f64,
    wall_ms: f64,
    peak_kib: u64,
    sizes_bytes: [usize; 4],
    /// How many findings or changes.
    found: usize,
}

/// The middle of several runs, and from where to where they went.
fn row(runs: &mut [Run]) -> Option<String> {
    let times = times(runs)?.join(" | ");
    let sizes = runs.first()?.sizes_bytes.map(|bytes| format!("{:.1} KiB", bytes as f64 / 1024.0));
    Some(format!("{times} | {}", sizes.join(" | ")))
}

/// Processor time, wall time and peak memory.
fn times(runs: &mut [Run]) -> Option<[String; 3]> {
    let mut spread = |of: fn(&Run) -> f64| {
        runs.sort_by(|left, right| of(left).total_cmp(&of(right)));
        let middle = runs.get(runs.len() / 2)?;
        Some(format!("{:.1} ms ({:.1} to {:.1})", of(middle), of(runs.first()?), of(runs.last()?)))
    };
    let (processor, wall) = (spread(|run| run.processor_ms)?, spread(|run| run.wall_ms)?);
    let peak = runs.iter().map(|run| run.peak_kib).max()?;
    Some([processor, wall, format!("{:.1} MiB", peak as f64 / 1024.0)])
}

/// Does one thing in a process of its own.
fn apart(words: &[&str]) -> Result<Run, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new(own).args(words).output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

/// Does something and prints what that took as JSON; it gives sizes and a number of what it found.
fn measured(work: impl FnOnce() -> Result<([usize; 4], usize), String>) -> Result<(), String> {
    let (began, began_processor) = (Instant::now(), processor_ms());
    let (sizes_bytes, found) = work()?;
    let (wall, processor_ms) = (began.elapsed(), processor_ms() - began_processor);
    let status = std::fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
    let peak_kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok())
        .ok_or("the kernel does not tell the peak of memory")?;
    let run = Run { processor_ms, wall_ms: wall.as_secs_f64() * 1000.0, peak_kib, sizes_bytes, found };
    println!("{}", serde_json::to_string(&run).map_err(|error| error.to_string())?);
    Ok(())
}

/// Compiles one directory.
fn one(dir: &Path) -> Result<(), String> {
    measured(|| {
        let compilation = compile(&[PathBuf::from(dir)], Missing::Refused);
        let artifacts = compilation.artifacts.ok_or_else(|| format!("{:?}", compilation.findings.first()))?;
        let [nft, dns, proxy, manifest] = artifacts.files().map(|(_, bytes)| bytes.len());
        Ok(([dns, proxy, nft, manifest], compilation.findings.len()))
    })
}

/// Compiles one directory and prints what was found, as `outcall compile --check` does.
fn check(dir: &Path) -> Result<(), String> {
    measured(|| {
        let findings = compile(&[PathBuf::from(dir)], Missing::Refused).findings;
        Ok(([human(&findings, Colour::Never).len(), 0, 0, 0], findings.len()))
    })
}

/// Compiles two directories and finds out what changed.
fn compare(old: &Path, new: &Path) -> Result<(), String> {
    measured(|| {
        let [old, new] = [old, new].map(|dir| compile(&[PathBuf::from(dir)], Missing::Refused).policy);
        let difference = diff(&old, &new);
        if !difference.unproven.is_empty() {
            return Err(format!("not proven: {:?}", difference.unproven));
        }
        Ok(([0; 4], difference.changes.len()))
    })
}

/// Parses the conditions with the peer.
fn parse(rules: usize) -> Result<(), String> {
    measured(|| Ok(([0; 4], scale::programs(Kind::Review, rules).len())))
}

/// The processor time of this process so far, all threads and the kernel's work for it included.
fn processor_ms() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1000.0 + time.tv_nsec as f64 / 1_000_000.0
}
