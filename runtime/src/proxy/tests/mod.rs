//! The proxy over real sockets on the loopback: real clients, real upstreams, a real resolver and compiled policies.

mod abuse;
mod enriched;
mod fallback;
mod h2spec;
mod http;
mod http2;
mod inside;
mod inside_handshake;
mod property;
mod raw;
mod revoked;
mod seen;
mod shapes;
mod shapes_h2;
mod tunnel;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use outcall_compiler::{emit, resolve};
use outcall_schema::artifact::dns_table::DnsTable;
use outcall_schema::artifact::manifest::Manifest;
use outcall_schema::artifact::match_program::MatchProgram;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;

use super::connection::Connection;
use super::{Context, Limits, Mode, serve};
use crate::audit::Audit;
use crate::dial::Dialer;
use crate::direct::Direct;
use crate::dns::Resolver;
use crate::identity::OneAgent;
use crate::intercept::Interception;
use crate::shares::Shares;
use crate::snapshot::{Snapshot, in_force};

/// Longer than any step takes on a busy machine, shorter than anybody would wait.
const PATIENCE: Duration = Duration::from_secs(30);

/// A policy from the `rules:` of a file.
fn policy(rules: &str) -> Snapshot {
    let text = format!("version: \"1\"\n{rules}");
    let (policy, findings) = resolve::from_texts(&[("test.yaml", &text)]);
    let (artifacts, more) = emit::artifacts(&policy);
    assert!(!findings.iter().chain(&more).any(|finding| finding.is_error()), "{findings:?} {more:?}");
    let artifacts = artifacts.expect("artifacts");
    Snapshot {
        dns: DnsTable::from_bytes(artifacts.dns.into()).unwrap(),
        program: MatchProgram::from_bytes(artifacts.proxy.into()).unwrap(),
        manifest: Manifest::from_bytes(&artifacts.manifest).unwrap(),
        nft: artifacts.nft,
    }
}

/// A rule that allows what `condition` says, on the loopback too.
fn allow(id: &str, condition: &str) -> String {
    format!(
        "  - id: {id}\n    action: allow\n    condition: '{condition}'\n    egress: {{ allow_private_ips: true }}\n"
    )
}

/// The rules that most tests use: everything on `a.example` and `b.example` but `/secret`.
fn usual_rules() -> String {
    let block = "  - id: no-secret\n    action: block\n    condition: 'http.path.startsWith(\"/secret\")'\n";
    format!("rules:\n{block}{}", allow("web", "http.host in [\"a.example\", \"b.example\"]"))
}

/// A proxy and what stands around it.
struct World {
    context: Context,
    explicit: SocketAddr,
    names: Arc<Mutex<Vec<String>>>,
    log: tempfile::NamedTempFile,
    shutdown: watch::Sender<bool>,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
    changes: watch::Sender<u64>,
}

impl World {
    async fn new(rules: &str) -> World {
        World::with_limits(rules, Limits::default()).await
    }

    async fn with_limits(rules: &str, limits: Limits) -> World {
        World::intercepting(rules, limits, None).await
    }

    async fn intercepting(rules: &str, limits: Limits, interception: Option<Interception>) -> World {
        let log = tempfile::NamedTempFile::new().unwrap();
        let (resolver, names) = resolver().await;
        let changes = watch::Sender::new(0);
        let context = Context {
            policy: in_force(policy(rules)),
            identity: Arc::new(OneAgent::named("ci")),
            audit: Audit::to_path(log.path()).unwrap(),
            resolver,
            dialer: Dialer::new(),
            direct: Direct::default(),
            interception,
            changes: changes.subscribe().into(),
            shares: Shares::default(),
            limits,
        };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let explicit = listener.local_addr().unwrap();
        let (shutdown, stop) = watch::channel(false);
        let serving = tokio::spawn(serve(listener, Mode::Explicit, context.clone(), stop));
        World { context, explicit, names, log, shutdown, serving, changes }
    }

    /// Puts another policy in force.
    fn change(&self, rules: &str) {
        self.context.policy.store(Arc::new(policy(rules)));
        self.changed();
    }

    /// Has what is open judged again.
    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// A client that talks to the proxy.
    async fn client(&self) -> Client {
        Client::new(TcpStream::connect(self.explicit).await.unwrap())
    }

    /// A client whose connection to `destination` was redirected.
    async fn redirected(&self, destination: SocketAddr) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (inside, peer) = listener.accept().await.unwrap();
        let agent = self.context.identity.agent(peer);
        let connection = Connection {
            share: self.context.shares.of(&agent),
            agent,
            context: Arc::new(self.context.clone()),
            destination: Some(destination),
            shutdown: self.shutdown.subscribe(),
            peer,
        };
        tokio::spawn(connection.run(inside));
        Client::new(stream)
    }

    /// Every line of the audit log so far.
    fn records(&self) -> Vec<Value> {
        self.context.audit.flush().unwrap();
        let text = std::fs::read_to_string(self.log.path()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Rule and reason of every refusal.
    fn refusals(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let records = self.records();
        let refused = records.iter().filter(|record| record["decision"] == "block");
        refused.map(|record| (text(&record["rule"]), text(&record["reason"]))).collect()
    }

    fn assert_refusals(&self, expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected.iter().map(|(rule, reason)| ((*rule).into(), (*reason).into())).collect();
        assert_eq!(self.refusals(), expected);
    }

    /// How many requests or connections passed.
    fn passed(&self) -> u64 {
        let allowed = |rule: &&crate::audit::RuleSummary| rule.decision == crate::audit::Decision::Allow;
        self.context.audit.summary().iter().filter(allowed).map(|rule| rule.count).sum()
    }

    /// The names that left the host.
    fn resolved(&self) -> Vec<String> {
        let mut names = self.names.lock().unwrap().clone();
        names.sort();
        names.dedup();
        names
    }
}

/// Waits until something is so.
async fn eventually(so: impl Fn() -> bool) {
    let waiting = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("in time");
}

/// A resolver whose upstream knows every name at 127.0.0.1, and the names it was asked for.
async fn resolver() -> (Resolver, Arc<Mutex<Vec<String>>>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let upstream = socket.local_addr().unwrap();
    let names = Arc::new(Mutex::new(Vec::new()));
    let asked = Arc::clone(&names);
    tokio::spawn(async move {
        let mut query = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut query).await {
            let (answer, name) = dns_answer(&query[..length]);
            asked.lock().unwrap().push(name);
            let _ = socket.send_to(&answer, from).await;
        }
    });
    (Resolver::new(vec![upstream], Dialer::new()), names)
}

/// 127.0.0.1 for an A query and nothing for others (RFC 1035, section 4), and the name.
fn dns_answer(query: &[u8]) -> (Vec<u8>, String) {
    let mut name = Vec::new();
    let mut at = 12;
    while query[at] != 0 {
        let end = at + 1 + usize::from(query[at]);
        name.push(String::from_utf8_lossy(&query[at + 1..end]).to_ascii_lowercase());
        at = end;
    }
    let question = &query[12..at + 5];
    let is_a = query[at + 1..at + 3] == [0, 1];
    let mut answer = [&query[..2], &[0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0], question].concat();
    if is_a {
        answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend_from_slice(&Ipv4Addr::LOCALHOST.octets());
    }
    (answer, name.join("."))
}

/// One side of a connection, for tests.
struct Client<S = TcpStream> {
    stream: S,
    unread: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    fn new(stream: S) -> Client<S> {
        Client { stream, unread: Vec::new() }
    }

    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Receives some bytes; none at the end.
    async fn more(&mut self) -> usize {
        let read = self.stream.read_buf(&mut self.unread);
        tokio::time::timeout(PATIENCE, read).await.expect("an answer in time").unwrap_or(0)
    }

    /// Everything up to and with `end`; what there was if the connection ends before.
    async fn until(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = self.unread.windows(end.len()).position(|window| window == end.as_bytes()) {
                return String::from_utf8_lossy(&self.unread.drain(..at + end.len()).collect::<Vec<_>>()).into_owned();
            }
            if self.more().await == 0 {
                return String::from_utf8_lossy(&std::mem::take(&mut self.unread)).into_owned();
            }
        }
    }

    /// A message with a head and the body that its `Content-Length` or chunks say. Empty at the end.
    async fn message(&mut self) -> String {
        let head = self.until("\r\n\r\n").await;
        let lower = head.to_ascii_lowercase();
        if lower.contains("transfer-encoding: chunked") {
            let mut message = head + &self.until("0\r\n").await;
            loop {
                let line = self.until("\r\n").await;
                message += &line;
                if line.len() <= 2 {
                    return message;
                }
            }
        }
        let length = lower.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        while self.unread.len() < length && self.more().await > 0 {}
        let body: Vec<u8> = self.unread.drain(..length.min(self.unread.len())).collect();
        head + &String::from_utf8_lossy(&body)
    }

    /// Everything until the connection ends.
    /// So many bytes, or what comes until the end.
    async fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.unread.len() < length && self.more().await > 0 {}
        self.unread.drain(..length.min(self.unread.len())).collect()
    }

    async fn rest(&mut self) -> Vec<u8> {
        while self.more().await > 0 {}
        std::mem::take(&mut self.unread)
    }

    async fn rest_text(&mut self) -> String {
        String::from_utf8_lossy(&self.rest().await).into_owned()
    }

    /// Sends a request and gives the response, whose body has a length.
    async fn ask(&mut self, request: &str) -> String {
        self.send(request).await;
        self.message().await
    }
}

/// Answers each message with what `answer` makes of it, and closes after an answer that has no end.
async fn answer_each<S: AsyncRead + AsyncWrite + Unpin>(
    mut client: Client<S>,
    received: &Mutex<Vec<String>>,
    answer: impl Fn(&str) -> String,
) {
    loop {
        let message = client.message().await;
        if message.is_empty() {
            return;
        }
        received.lock().unwrap().push(message.clone());
        let answer = answer(&message);
        if client.stream.write_all(answer.as_bytes()).await.is_err() || client.stream.flush().await.is_err() {
            return;
        }
        if answer.contains("Connection: close") {
            let _ = client.stream.shutdown().await;
            return;
        }
    }
}

/// What an upstream does with one connection.
type Behaviour = dyn Fn(Client, Arc<Mutex<Vec<String>>>) -> tokio::task::JoinHandle<()> + Send + Sync;

/// An upstream on the loopback and what it received: one entry a message or, for raw ones, a connection.
struct Upstream {
    address: SocketAddr,
    received: Arc<Mutex<Vec<String>>>,
    connections: Arc<Mutex<usize>>,
}

impl Upstream {
    async fn start(behaviour: Box<Behaviour>) -> Upstream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream =
            Upstream { address: listener.local_addr().unwrap(), received: Arc::default(), connections: Arc::default() };
        let (received, connections) = (Arc::clone(&upstream.received), Arc::clone(&upstream.connections));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *connections.lock().unwrap() += 1;
                behaviour(Client::new(stream), Arc::clone(&received));
            }
        });
        upstream
    }

    /// Answers each message with what `answer` makes of it, and closes after an answer that has no end.
    async fn http(answer: impl Fn(&str) -> String + Send + Sync + Clone + 'static) -> Upstream {
        Upstream::start(Box::new(move |client, received| {
            let answer = answer.clone();
            tokio::spawn(async move { answer_each(client, &received, answer).await })
        }))
        .await
    }

    /// Answers every request with 200 and a short body.
    async fn ok() -> Upstream {
        Upstream::http(|_| OK.to_owned()).await
    }

    /// Sends back what it receives, and keeps it.
    async fn echo() -> Upstream {
        Upstream::start(Box::new(|mut client, received| {
            tokio::spawn(async move {
                let mut all = Vec::new();
                while client.more().await > 0 {
                    let bytes = std::mem::take(&mut client.unread);
                    all.extend_from_slice(&bytes);
                    if client.stream.write_all(&bytes).await.is_err() {
                        break;
                    }
                }
                received.lock().unwrap().push(String::from_utf8_lossy(&all).into_owned());
            })
        }))
        .await
    }

    fn port(&self) -> u16 {
        self.address.port()
    }

    fn received(&self) -> Vec<String> {
        self.received.lock().unwrap().clone()
    }

    fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\nX-From: upstream\r\nContent-Length: 2\r\n\r\nok";

/// The 403 that a rule's refusal looks like.
fn forbidden(rule: &str) -> String {
    let body = format!("Blocked by outcall: {rule}");
    format!(
        "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nX-Outcall-Block-Reason: {rule}\r\n\r\n{body}",
        body.len()
    )
}
