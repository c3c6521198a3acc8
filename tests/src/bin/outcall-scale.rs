//! Compile time, peak memory and artifact sizes by the number of rules, as a table in Markdown.
//!
//! `cargo run --release -p outcall-tests --bin outcall-scale [SIZE]...`. Each size is compiled by a process of its own, which
//! tells its own peak of resident memory as the kernel counted it.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use outcall_compiler::{Missing, compile};
use outcall_tests::scale::{self, Kind, SIZES};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["one", dir] => one(Path::new(dir)),
        sizes => {
            let sizes: Vec<usize> = sizes.iter().filter_map(|size| size.parse().ok()).collect();
            table(if sizes.is_empty() { &SIZES } else { &sizes })
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("outcall-scale: {why}");
            ExitCode::FAILURE
        }
    }
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
            let mut runs = (0..RUNS).map(|_| apart(dir.path())).collect::<Result<Vec<Run>, String>>()?;
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
}

/// The middle of several runs, and from where to where they went.
fn row(runs: &mut [Run]) -> Option<String> {
    let mut spread = |of: fn(&Run) -> f64| {
        runs.sort_by(|left, right| of(left).total_cmp(&of(right)));
        let middle = runs.get(runs.len() / 2)?;
        Some(format!("{:.1} ms ({:.1} to {:.1})", of(middle), of(runs.first()?), of(runs.last()?)))
    };
    let (processor, wall) = (spread(|run| run.processor_ms)?, spread(|run| run.wall_ms)?);
    let peak = runs.iter().map(|run| run.peak_kib).max()?;
    let sizes = runs.first()?.sizes_bytes.map(|bytes| format!("{:.1} KiB", bytes as f64 / 1024.0));
    Some(format!("{processor} | {wall} | {:.1} MiB | {}", peak as f64 / 1024.0, sizes.join(" | ")))
}

/// Compiles a directory in a process of its own.
fn apart(dir: &Path) -> Result<Run, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new(own).arg("one").arg(dir).output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

/// Compiles one directory and prints what that took as JSON.
fn one(dir: &Path) -> Result<(), String> {
    let (began, began_processor) = (Instant::now(), processor_ms());
    let compilation = compile(&[PathBuf::from(dir)], Missing::Refused);
    let (wall, processor_ms) = (began.elapsed(), processor_ms() - began_processor);
    let artifacts = compilation.artifacts.ok_or_else(|| format!("{:?}", compilation.findings.first()))?;
    let status = std::fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
    let peak_kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok())
        .ok_or("the kernel does not tell the peak of memory")?;
    let [nft, dns, proxy, manifest] = artifacts.files().map(|(_, bytes)| bytes.len());
    let sizes_bytes = [dns, proxy, nft, manifest];
    let run = Run { processor_ms, wall_ms: wall.as_secs_f64() * 1000.0, peak_kib, sizes_bytes };
    println!("{}", serde_json::to_string(&run).map_err(|error| error.to_string())?);
    Ok(())
}

/// The processor time of this process so far, all threads and the kernel's work for it included.
fn processor_ms() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1000.0 + time.tv_nsec as f64 / 1_000_000.0
}
