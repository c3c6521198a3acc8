//! Loads an intercepting proxy as it is told, and says how that went: the client's side of `tests/bench/intercept`.
//!
//! `outcall-load proxy|straight ADDRESS AUTHORITIES`. Commands come as lines of JSON on standard input, each is answered with
//! one on standard output. So the same process serves a whole run, inside a sandbox or not.

use std::io::{self, BufRead, Error, Write};
use std::net::ToSocketAddrs as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use outcall_tests::load::{Ask, Client, Protocol, Route, Via};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// How long anything may take beyond the time that was asked for.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is sent before anything counts.
const WARM_UP: Duration = Duration::from_millis(300);

/// What bodies are made of.
const LETTER: &str = "x";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Command {
    /// One request on a connection of its own, with a body of so many of one letter: its status.
    Ask { protocol: Protocol, host: String, path: String, body_bytes: usize, letter: char },
    /// The same request for so long on each of so many kept-alive connections, so many at a time on each.
    Keep {
        protocol: Protocol,
        host: String,
        path: String,
        body_bytes: usize,
        connections: usize,
        streams: usize,
        ms: u64,
    },
    /// The same, each on a new connection.
    Fresh { protocol: Protocol, host: String, path: String, connections: usize, ms: u64 },
    /// Opens so many connections, sends a request on each, and keeps them.
    Hold { protocol: Protocol, host: String, path: String, connections: usize },
    /// One request to each of `hN.SUFFIX` on a connection of its own, N from 0 to below `hosts`.
    Hosts { suffix: String, path: String, hosts: usize, connections: usize, ms: u64 },
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("outcall-load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [how, address, authorities] = words.as_slice() else {
        return Err(Error::other("usage: outcall-load proxy|straight ADDRESS AUTHORITIES"));
    };
    // A name is asked for once, as what is measured is not the resolver.
    let address = address.to_socket_addrs()?.next().ok_or_else(|| Error::other("the name has no address"))?;
    let via = if how == "proxy" { Via::Proxy(address) } else { Via::Straight(address) };
    let route = Route::new(via, Path::new(authorities))?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(cores).enable_all().build()?;
    let mut held = Vec::new();
    for line in io::stdin().lock().lines() {
        let command = serde_json::from_str(&line?).map_err(Error::other)?;
        // Spawned, so that it runs beside the connections it makes and not on the thread that reads commands.
        let doing = runtime.spawn(carry_out(route.clone(), command));
        let answer = match runtime.block_on(doing).map_err(Error::other)? {
            Ok((answer, clients)) => {
                held = clients;
                answer
            }
            Err(error) => json!({ "error": error.to_string() }),
        };
        let mut out = io::stdout().lock();
        writeln!(out, "{answer}").and_then(|()| out.flush())?;
    }
    drop(held);
    Ok(())
}

/// The answer, and connections to keep until the next command.
async fn carry_out(route: Route, command: Command) -> io::Result<(Value, Vec<Client>)> {
    let patience = PATIENCE
        + match &command {
            Command::Keep { ms, .. } | Command::Fresh { ms, .. } | Command::Hosts { ms, .. } => {
                Duration::from_millis(*ms)
            }
            Command::Ask { .. } | Command::Hold { .. } => Duration::ZERO,
        };
    let doing = async {
        match command {
            Command::Ask { protocol, host, path, body_bytes, letter } => {
                let ask = Ask::new(&host, &path, &letter.to_string().repeat(body_bytes))?;
                let status = route.open(protocol, &host).await?.request(&ask).await?;
                Ok((json!({ "status": status }), Vec::new()))
            }
            Command::Keep { protocol, host, path, body_bytes, connections, streams, ms } => {
                let ask = Arc::new(Ask::new(&host, &path, &LETTER.repeat(body_bytes))?);
                let mut clients = Vec::new();
                for _ in 0..connections {
                    let client = route.open(protocol, &host).await?;
                    clients.extend((1..streams).filter_map(|_| client.another()));
                    clients.push(client);
                }
                let span = Span::of(ms);
                let done = all(clients.into_iter().map(|client| keep(client, Arc::clone(&ask), span))).await?;
                Ok((span.report(done), Vec::new()))
            }
            Command::Fresh { protocol, host, path, connections, ms } => {
                let ask = Arc::new(Ask::new(&host, &path, "")?);
                let span = Span::of(ms);
                let one = |_| fresh(route.clone(), protocol, host.clone(), Arc::clone(&ask), span);
                Ok((span.report(all((0..connections).map(one)).await?), Vec::new()))
            }
            Command::Hold { protocol, host, path, connections } => {
                let ask = Ask::new(&host, &path, "")?;
                let mut clients = Vec::new();
                for _ in 0..connections {
                    let mut client = route.open(protocol, &host).await?;
                    expect(client.request(&ask).await?)?;
                    clients.push(client);
                }
                Ok((json!({ "held": clients.len() }), clients))
            }
            Command::Hosts { suffix, path, hosts, connections, ms } => {
                let next = Arc::new(AtomicUsize::new(0));
                let end = Instant::now() + Duration::from_millis(ms);
                let one = |_| rotate(route.clone(), suffix.clone(), path.clone(), Arc::clone(&next), hosts, end);
                let done = all((0..connections).map(one)).await?;
                Ok((json!({ "hosts": done.len() }), Vec::new()))
            }
        }
    };
    tokio::time::timeout(patience, doing).await.map_err(|_| Error::other("no end in time"))?
}

/// How long a request took, where it counts.
type Took = Option<Duration>;

/// When what is done counts.
#[derive(Debug, Clone, Copy)]
struct Span {
    begin: Instant,
    end: Instant,
}

impl Span {
    fn of(ms: u64) -> Span {
        let begin = Instant::now() + WARM_UP;
        Span { begin, end: begin + Duration::from_millis(ms) }
    }

    /// Now, if there is time for another one.
    fn turn(self) -> Option<Instant> {
        Some(Instant::now()).filter(|now| *now < self.end)
    }

    /// How long took what began then and ends now, if all of it counts.
    fn took(self, begun: Instant) -> Took {
        let now = Instant::now();
        (begun >= self.begin && now <= self.end).then(|| now - begun)
    }

    fn report(self, all: Vec<Took>) -> Value {
        let asked = all.len();
        let mut took: Vec<Duration> = all.into_iter().flatten().collect();
        took.sort_unstable();
        let at = |percent: usize| took.get(took.len() * percent / 100).map(|took| took.as_secs_f64() * 1e6);
        json!({
            "asked": asked,
            "per_second": took.len() as f64 / (self.end - self.begin).as_secs_f64(),
            "p50_us": at(50),
            "p99_us": at(99),
        })
    }
}

/// Runs all at once; what took how long, together.
async fn all<F>(tasks: impl Iterator<Item = F>) -> io::Result<Vec<Took>>
where
    F: Future<Output = io::Result<Vec<Took>>> + Send + 'static,
{
    let mut running: JoinSet<io::Result<Vec<Took>>> = tasks.collect();
    let mut done = Vec::new();
    while let Some(task) = running.join_next().await {
        done.extend(task.map_err(Error::other)??);
    }
    Ok(done)
}

async fn keep(mut client: Client, ask: Arc<Ask>, span: Span) -> io::Result<Vec<Took>> {
    let mut took = Vec::new();
    while let Some(begun) = span.turn() {
        expect(client.request(&ask).await?)?;
        took.push(span.took(begun));
    }
    Ok(took)
}

async fn fresh(route: Route, protocol: Protocol, host: String, ask: Arc<Ask>, span: Span) -> io::Result<Vec<Took>> {
    let mut took = Vec::new();
    while let Some(begun) = span.turn() {
        expect(route.open(protocol, &host).await?.request(&ask).await?)?;
        took.push(span.took(begun));
    }
    Ok(took)
}

async fn rotate(
    route: Route,
    suffix: String,
    path: String,
    next: Arc<AtomicUsize>,
    hosts: usize,
    end: Instant,
) -> io::Result<Vec<Took>> {
    let mut took = Vec::new();
    loop {
        let (number, begun) = (next.fetch_add(1, Ordering::Relaxed), Instant::now());
        if number >= hosts || begun >= end {
            return Ok(took);
        }
        let host = format!("h{number}.{suffix}");
        let ask = Ask::new(&host, &path, "")?;
        expect(route.open(Protocol::H1, &host).await?.request(&ask).await?)?;
        took.push(Some(begun.elapsed()));
    }
}

fn expect(status: u16) -> io::Result<()> {
    if status == 200 { Ok(()) } else { Err(Error::other(format!("a request is answered with {status}"))) }
}
