//! Abuses an intercepting proxy over HTTP/2 and says what that costs it, and others.
//!
//! `outcall-abuse [--quick] [--check]`. The proxy is a process of its own, as in a sandbox; two agents talk to it. The one that
//! abuses it, with the server that it talks to, is another process, which gets what the others leave of the processors: what it
//! takes is not what is measured, and what the proxy does for it is. For each abuse a row: how long the requests of the other agent
//! took before and meanwhile, what processor time the proxy took, how much memory it grew by, and what was sent. `--check` fails
//! where a bound is passed three times, as other work on the machine slows requests down, too.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Error};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use outcall_tests::abuse::{ABUSES, Abuse, calm, identity, proxy, server};

/// How much longer requests of others may take, 99 in a hundred of them.
const MAX_TIMES_SLOWER: u32 = 2;
/// What is not measurable: a thread that wakes while others have all processors may wait for the end of a slice, which is up to
/// 3 ms with the kernel's usual settings, and mostly under 1 ms.
const NOISE: Duration = Duration::from_millis(1);
/// How much the proxy may grow by.
const MAX_GROWTH_KIB: u64 = 384 << 10;
/// How often a row is measured until it is within bounds.
const ATTEMPTS: usize = 3;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["proxy", directory] => proxy(Path::new(directory)),
        ["abuse", name, proxy, directory] => abuse(name, proxy, directory),
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

fn abuse(name: &str, proxy: &str, directory: &str) -> io::Result<()> {
    let abuse = ABUSES.iter().find(|abuse| abuse.name == name).ok_or_else(|| Error::other("no such abuse"))?;
    abuse.run(proxy.parse::<SocketAddr>().map_err(Error::other)?, Path::new(directory))
}

fn run(quick: bool, check: bool) -> ExitCode {
    let lasts = if quick { Duration::from_secs(2) } else { Duration::from_secs(8) };
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

    /// Processor time so far.
    fn processor(&self) -> io::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.0.id()))?;
        let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        // The kernel shows them in hundredths of a second on every common machine.
        Ok(Duration::from_millis(10 * ticks))
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
    identity(directory.path())?;
    let server = server(directory.path())?;
    let mut table = String::from(
        "| abuse | p50 before | p50 | p99 before | p99 | requests of others | the proxy's processors before | | memory before | most | what it got |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|\n",
    );
    let mut fine = true;
    for abuse in ABUSES {
        let mut row = Row::measure(abuse, lasts, server, directory.path())?;
        for _ in 1..ATTEMPTS {
            if !row.is_fine() {
                let again = Row::measure(abuse, lasts, server, directory.path())?;
                row = if again.during.1 < row.during.1 || again.is_fine() { again } else { row };
            }
        }
        fine &= row.is_fine();
        let _ = writeln!(table, "{row}");
        eprintln!("{}: done", abuse.name);
    }
    Ok((table, fine))
}

/// What an abuse costs.
struct Row {
    abuse: &'static Abuse,
    before: (Duration, Duration),
    during: (Duration, Duration),
    requests: usize,
    /// Processors that the proxy had, before and meanwhile.
    processors: (f64, f64),
    /// KiB, before and at most.
    memory: (u64, u64),
    got: String,
}

impl Row {
    fn measure(abuse: &'static Abuse, lasts: Duration, server: SocketAddr, directory: &Path) -> io::Result<Row> {
        let proxy = Proxy::start(directory)?;
        let client = calm(proxy.calm, server, directory)?;
        client.requests(lasts / 4, || {})?;
        let busy = |from: Duration, since: Instant| {
            let took = proxy.processor().unwrap_or_default().saturating_sub(from);
            took.as_secs_f64() / since.elapsed().as_secs_f64()
        };
        let (from, since) = (proxy.processor()?, Instant::now());
        let before = quantiles(client.requests(lasts, || {})?);
        let (busy_before, memory) = (busy(from, since), proxy.memory()?);
        // Whatever else runs goes first.
        let hostile = Command::new("chrt")
            .args(["--idle", "0"])
            .arg(own()?)
            .args(["abuse", abuse.name, &proxy.hostile.to_string()])
            .arg(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut hostile = Ours(hostile);
        let output = hostile.0.stdout.take().ok_or_else(|| Error::other("no output"))?;
        let mut lines = BufReader::new(output).lines();
        // It says so when it has begun, and counts when its input ends: its time is measured by us.
        lines.next().transpose()?;
        let (mut most, mut looked) = (0, Instant::now());
        let (from, since) = (proxy.processor()?, Instant::now());
        let times = client.requests(lasts, || {
            if looked.elapsed() > Duration::from_millis(20) {
                looked = Instant::now();
                most = most.max(proxy.memory().unwrap_or(0));
            }
        })?;
        let processors = (busy_before, busy(from, since));
        let requests = times.len();
        drop(hostile.0.stdin.take());
        let got = lines.next().transpose()?.unwrap_or_default();
        Ok(Row { abuse, before, during: quantiles(times), requests, processors, memory: (memory, most), got })
    }

    fn is_fine(&self) -> bool {
        let bound = (self.before.1 * MAX_TIMES_SLOWER).max(self.before.1 + NOISE);
        self.during.1 <= bound && self.memory.1.saturating_sub(self.memory.0) <= MAX_GROWTH_KIB
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "| {}{} | {:.2} ms | {:.2} ms | {:.2} ms | {:.2} ms (x{:.1}) | {} | {:.2} | {:.2} | {} MiB | {} MiB | {} |",
            self.abuse.name,
            if self.is_fine() { "" } else { " (!)" },
            ms(self.before.0),
            ms(self.during.0),
            ms(self.before.1),
            ms(self.during.1),
            ms(self.during.1) / ms(self.before.1).max(0.001),
            self.requests,
            self.processors.0,
            self.processors.1,
            self.memory.0 >> 10,
            self.memory.1 >> 10,
            self.got,
        )
    }
}
