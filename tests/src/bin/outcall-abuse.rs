//! Abuses an intercepting proxy over HTTP/2 and says what that costs it, and others.
//!
//! `outcall-abuse [--quick] [--check] [--anywhere] [NAME]`. The proxy is a process of its own, as in a sandbox; two agents talk to it. The one that
//! abuses it, with the server that it talks to, is another process, which gets what the others leave of the processors: what it
//! takes is not what is measured, and what the proxy does for it is. For each abuse a row: how long the requests of the other agent
//! took before and meanwhile, what processor time the proxy took, how much memory it grew by, and what was sent. `--check` fails
//! where a bound is passed three times, as other work on the machine slows requests down, too.

use std::io::{self, BufRead, BufReader, Error};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use outcall_tests::abuse::{ABUSES, Abuse, calm, identity, proxy, server};

/// How much longer requests of others may take, 99 in a hundred of them.
const MAX_TIMES_SLOWER: u32 = 2;
/// What is not the proxy's: a thread that wakes while others have all processors may wait for the end of a slice, which is up to
/// 3 ms with the kernel's usual settings, and there are some four wakings in a request.
const NOISE: Duration = Duration::from_millis(1);
/// How much the proxy may grow by.
const MAX_GROWTH_KIB: u64 = 128 << 10;
/// The same with `--anywhere`: on a machine that does other work, a proxy that is busy waits for its turn whatever it does itself.
const ANYWHERE_TIMES_SLOWER: u32 = 10;
const ANYWHERE_FINE: Duration = Duration::from_secs(2);
/// How often a row is measured until it is within bounds.
const ATTEMPTS: usize = 3;

const OPTIONS: [&str; 3] = ["--quick", "--check", "--anywhere"];

/// What is measured, and by which bounds.
struct Measured<'a> {
    only: Option<&'a str>,
    anywhere: bool,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["proxy", directory] => proxy(Path::new(directory)),
        ["abuse", name, proxy, directory] => abuse(name, proxy, directory),
        options if options.iter().all(|option| OPTIONS.contains(option) || !option.starts_with('-')) => {
            let [quick, check, anywhere] = OPTIONS.map(|option| options.contains(&option));
            let only = options.iter().find(|option| !option.starts_with('-')).copied();
            return run(quick, check, &Measured { only, anywhere });
        }
        _ => Err(Error::other("usage: outcall-abuse [--quick] [--check] [--anywhere] [NAME]")),
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

fn run(quick: bool, check: bool, measured: &Measured<'_>) -> ExitCode {
    let lasts = if quick { Duration::from_secs(2) } else { Duration::from_secs(8) };
    match measure(lasts, measured) {
        Ok(fine) if fine || !check => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
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

fn measure(lasts: Duration, measured: &Measured<'_>) -> io::Result<bool> {
    let directory = tempfile::tempdir()?;
    identity(directory.path())?;
    let server = server(directory.path())?;
    println!(
        "| abuse | p50 before | p50 | p99 before | p99 | requests of others | the proxy's processors before | | memory before | most | what it got |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|",
    );
    let mut fine = true;
    for abuse in ABUSES.iter().filter(|abuse| measured.only.is_none_or(|only| abuse.name.contains(only))) {
        let mut row = Row::measure(abuse, lasts, server, directory.path())?;
        for _ in 1..ATTEMPTS {
            if !row.is_fine(measured.anywhere) {
                let again = Row::measure(abuse, lasts, server, directory.path())?;
                row = if again.during.1 < row.during.1 || again.is_fine(measured.anywhere) { again } else { row };
            }
        }
        fine &= row.is_fine(measured.anywhere);
        println!("{row}{}", if row.is_fine(measured.anywhere) { "" } else { " (!)" });
    }
    Ok(fine)
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
        let hostile = Command::new("nice")
            .args(["-n", "19"])
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

    fn is_fine(&self, anywhere: bool) -> bool {
        let (times, fine) = match anywhere {
            true => (ANYWHERE_TIMES_SLOWER, ANYWHERE_FINE),
            false => (MAX_TIMES_SLOWER, self.before.1 + NOISE),
        };
        let bound = (self.before.1 * times).max(fine);
        self.during.1 <= bound && self.memory.1.saturating_sub(self.memory.0) <= MAX_GROWTH_KIB
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "| {} | {:.2} ms | {:.2} ms | {:.2} ms | {:.2} ms (x{:.1}) | {} | {:.2} | {:.2} | {} MiB | {} MiB | {} |",
            self.abuse.name,
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
