//! Compile time, peak memory and artifact sizes by the number of rules, as a table in Markdown.
//!
//! `cargo run --release -p outcall-tests --bin outcall-scale [SIZE]...`. Each size is compiled by a process of its own, which
//! tells its own peak of resident memory as the kernel counted it.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use outcall_compiler::{Missing, compile};
use outcall_tests::scale::{self, Kind, SIZES};

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
    println!("| policy | rules | compile | peak memory | dns.table | proxy.prog | outcall.nft | manifest.json |");
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    for kind in Kind::ALL {
        for &rules in sizes {
            let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
            scale::write(kind, rules, dir.path()).map_err(|error| error.to_string())?;
            let own = std::env::current_exe().map_err(|error| error.to_string())?;
            let output = Command::new(own).arg("one").arg(dir.path()).output().map_err(|error| error.to_string())?;
            if !output.status.success() {
                return Err(format!("{} {rules}: {}", kind.name(), String::from_utf8_lossy(&output.stderr)));
            }
            println!("| {} | {rules} {}", kind.name(), String::from_utf8_lossy(&output.stdout).trim());
        }
    }
    Ok(())
}

/// Compiles one directory and prints the rest of its row.
fn one(dir: &Path) -> Result<(), String> {
    let began = Instant::now();
    let compilation = compile(&[PathBuf::from(dir)], Missing::Refused);
    let took = began.elapsed();
    let artifacts = compilation.artifacts.ok_or_else(|| format!("{:?}", compilation.findings.first()))?;
    let status = std::fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok())
        .ok_or("the kernel does not tell the peak of memory")?;
    print!("| {:.1} ms | {:.1} MiB", took.as_secs_f64() * 1000.0, peak as f64 / 1024.0);
    let size = |bytes: &[u8]| format!("{:.1} KiB", bytes.len() as f64 / 1024.0);
    for bytes in [artifacts.dns.as_slice(), &artifacts.proxy, artifacts.nft.as_bytes(), &artifacts.manifest] {
        print!(" | {}", size(bytes));
    }
    println!(" |");
    Ok(())
}
