//! Abuses an intercepting proxy over HTTP/2 and says what that costs it, and others.
//!
//! `outcall-abuse [--quick] [--check]`. The proxy is a process of its own with two threads, as in a sandbox, and whoever abuses it
//! is another with a lower priority; two agents talk to it. For each abuse a row: how long the requests of the other agent
//! took before and meanwhile, how much memory the proxy grew by, and what was sent. `--check` fails where that is past all bounds.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Error};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use outcall_tests::abuse::{ABUSES, calm, proxy, server};

/// What `--check` lets pass. Where other work has the processors, a proxy that is busy waits for its turn whatever it does itself.
const MAX_TIMES_SLOWER: f64 = 10.0;
const ALWAYS_FINE: Duration = Duration::from_secs(2);
const MAX_GROWTH_KIB: u64 = 384 << 10;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["proxy", directory] => proxy(Path::new(directory)),
        ["abuse", name, proxy, server, directory] => abuse(name, proxy, server, directory),
        options if options.iter().all(|option| ["--quick", "--check"].contains(option)) => {
            return run(options.contains(&"--quick"), options.contains(&"--check"));
        }
        _ => Err(Error::other("usage: outcall-abuse [--quick] [--check]")),
    };
    finish(done)
}

fn finish(done: io::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("outcall-abuse: {error}");
            ExitCode::FAILURE
        }
    }
}

fn abuse(name: &str, proxy: &str, server: &str, directory: &str) -> io::Result<()> {
    let abuse = ABUSES.iter().find(|abuse| abuse.name == name).ok_or_else(|| Error::other("no such abuse"))?;
    let parse = |address: &str| address.parse::<SocketAddr>().map_err(Error::other);
    abuse.run(parse(proxy)?, parse(server)?, Path::new(directory))
}

fn run(quick: bool, check: bool) -> ExitCode {
    let lasts = if quick { Duration::from_secs(1) } else { Duration::from_secs(8) };
    match measure(lasts) {
        Ok((table, fine)) => {
            print!("{table}");
            if fine || !check { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => finish(Err(error)),
    }
}

/// A process that ends with its handle.
struct Ours(Child);

impl Drop for Ours {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The proxy, for two agents.
struct Proxy {
    process: Ours,
    calm: SocketAddr,
    hostile: SocketAddr,
}

fn own() -> io::Result<PathBuf> {
    std::env::current_exe()
}

impl Proxy {
    fn start(directory: &Path) -> io::Result<Proxy> {
        let mut child = Command::new(own()?).arg("proxy").arg(directory).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().ok_or_else(|| Error::other("no output"))?;
        let process = Ours(child);
        let mut lines = BufReader::new(output).lines();
        let mut address = || {
            let line = lines.next().ok_or_else(|| Error::other("the proxy did not start"))??;
            line.parse().map_err(Error::other)
        };
        Ok(Proxy { calm: address()?, hostile: address()?, process })
    }

    /// Resident memory, in KiB.
    fn memory(&self) -> io::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).ok_or_else(|| Error::other("no VmRSS"))
    }
}

/// Half of them took no longer, and 99 in a hundred.
fn quantiles(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort();
    let at = |share: usize| times.get(times.len() * share / 100).or(times.last()).copied().unwrap_or(Duration::MAX);
    (at(50), at(99))
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn measure(lasts: Duration) -> io::Result<(String, bool)> {
    let directory = tempfile::tempdir()?;
    let server = server(directory.path())?;
    let mut table = String::from(
        "| abuse | p50 before | p50 | p99 before | p99 | requests of others | memory before | most | what it got |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|---|\n",
    );
    let mut fine = true;
    for abuse in ABUSES {
        let proxy = Proxy::start(directory.path())?;
        let client = calm(proxy.calm, server, directory.path())?;
        client.requests(lasts / 4, || {})?;
        let before = quantiles(client.requests(lasts, || {})?);
        let memory = proxy.memory()?;
        let hostile = Command::new("nice")
            .args(["-n", "10"])
            .arg(own()?)
            .args(["abuse", abuse.name, &proxy.hostile.to_string(), &server.to_string()])
            .arg(directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut hostile = Ours(hostile);
        let output = hostile.0.stdout.take().ok_or_else(|| Error::other("no output"))?;
        let mut lines = BufReader::new(output).lines();
        // It says so when it has begun, and counts when its input ends: its time is measured by us.
        lines.next().transpose()?;
        let (mut most, mut looked) = (0, Instant::now());
        let times = client.requests(lasts, || {
            if looked.elapsed() > Duration::from_millis(20) {
                looked = Instant::now();
                most = most.max(proxy.memory().unwrap_or(0));
            }
        })?;
        let count = times.len();
        let during = quantiles(times);
        drop(hostile.0.stdin.take());
        let got = lines.next().transpose()?.unwrap_or_default();
        drop(hostile);
        let slower = ms(during.1) / ms(before.1).max(0.001);
        let row_is_fine =
            (slower <= MAX_TIMES_SLOWER || during.1 <= ALWAYS_FINE) && most.saturating_sub(memory) <= MAX_GROWTH_KIB;
        fine &= row_is_fine;
        let _ = writeln!(
            table,
            "| {}{} | {:.2} ms | {:.2} ms | {:.2} ms | {:.2} ms (x{slower:.1}) | {count} | {} MiB | {} MiB | {got} |",
            abuse.name,
            if row_is_fine { "" } else { " (!)" },
            ms(before.0),
            ms(during.0),
            ms(before.1),
            ms(during.1),
            memory >> 10,
            most >> 10,
        );
        eprintln!("{}: done", abuse.name);
    }
    Ok((table, fine))
}
