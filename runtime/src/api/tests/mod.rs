//! The API over a real socket: what each endpoint answers, and that nothing else does anything.

mod endpoints;
mod hosted;
mod live;
mod openmetrics;
mod refusals;

use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use outcall_compiler::{emit, resolve};
use outcall_schema::api::ApiResponse;
use outcall_schema::api::ca::CaStatus;
use outcall_schema::api::intercept::{Flushed, InterceptStatus, Today};
use outcall_schema::artifact::dns_table::DnsTable;
use outcall_schema::artifact::manifest::Manifest;
use outcall_schema::artifact::match_program::MatchProgram;
use outcall_schema::ca::{Algorithm, Authority, Issuer, Wanted};
use outcall_schema::host::Host as Name;
use rustls::RootCertStore;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::dial::Dialer;
use crate::intercept::{LeafTtl, Leaves, Upstreams};
use crate::snapshot::{Snapshot, in_force};

/// Longer than any step takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const LIMITS: Limits = Limits { connections: CONNECTIONS, request: PATIENCE, upload: PATIENCE };

const RULES: &str = r#"version: "1"
rules:
  - id: no-admin
    description: "nobody's"
    action: block
    condition: http.path.startsWith("/admin")
    priority: 5
  - id: web
    action: allow
    condition: http.host == "web.example"
    log: true
  - id: names
    action: allow
    condition: dns.query == "only.example" && dns.record_type == "TXT"
"#;

/// A policy from the text of a rule file.
fn policy(text: &str) -> Snapshot {
    let (policy, findings) = resolve::from_texts(&[("test.yaml", text)]);
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

struct Served {
    path: PathBuf,
    _directory: tempfile::TempDir,
    _socket: Socket,
    interception: Option<Interception>,
    audit: Audit,
}

/// An API whose resolver has nobody to ask.
fn api(log: &std::path::Path) -> Api {
    let audit = Audit::to_path(log).unwrap();
    let resolver = Resolver::new(Vec::new(), Dialer::measured(audit.meters()));
    let address = |port| vec![SocketAddr::from(([127, 0, 0, 1], port))];
    Api::new(in_force(policy(RULES)), audit, resolver).listening(address(53), address(8080))
}

impl Served {
    fn with(limits: Limits, change: impl FnOnce(Api) -> Api) -> Served {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let socket = Place::find(&path).unwrap().bind().unwrap();
        let api = change(api(&directory.path().join("log")));
        let (interception, audit) = (api.interception.clone(), api.audit.clone());
        tokio::spawn(serve_within(socket.listener().unwrap(), api, limits));
        Served { path, _directory: directory, _socket: socket, interception, audit }
    }

    fn new(limits: Limits, interception: Option<Interception>) -> Served {
        Served::with(limits, |api| api.intercepting(interception))
    }

    /// The lines of the log so far.
    fn log(&self) -> Vec<Value> {
        self.audit.flush().unwrap();
        let text = std::fs::read_to_string(self._directory.path().join("log")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Asks with a JSON body.
    async fn post(&self, path: &str, body: &str) -> (u16, String) {
        let length = body.len();
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}");
        self.send(format!("{head}\r\n\r\n{body}")).await
    }

    async fn posted<T: DeserializeOwned>(&self, path: &str, body: &str) -> T {
        let (status, answer) = self.post(path, body).await;
        assert_eq!(status, 200, "{path}: {answer}");
        serde_json::from_str::<ApiResponse<T>>(&answer).unwrap().data.unwrap()
    }

    fn intercepting() -> Served {
        Served::new(LIMITS, Some(interception()))
    }

    /// Sends bytes as they are and gives status and body of the answer; 0 when there was none.
    async fn send(&self, bytes: impl AsRef<[u8]>) -> (u16, String) {
        let mut stream = UnixStream::connect(&self.path).await.unwrap();
        // What is refused early need not be taken to its end.
        let _ = stream.write_all(bytes.as_ref()).await;
        let _ = stream.shutdown().await;
        rest(stream).await
    }

    /// The whole answer as it is.
    async fn raw(&self, bytes: &str) -> String {
        let mut stream = UnixStream::connect(&self.path).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("an answer in time").unwrap();
        answer
    }

    async fn ask(&self, line: &str) -> (u16, String) {
        self.send(format!("{line} HTTP/1.1\r\nHost: outcall\r\n\r\n")).await
    }

    async fn data<T: DeserializeOwned>(&self, line: &str) -> T {
        let (status, body) = self.ask(line).await;
        assert_eq!(status, 200, "{line}: {body}");
        let answer: ApiResponse<T> = serde_json::from_str(&body).unwrap();
        assert!(answer.success && answer.error.is_none());
        answer.data.unwrap()
    }

    /// Asserts that this is refused in the envelope, and that nothing was let go of.
    async fn check_refused(&self, bytes: impl AsRef<[u8]>, status: u16, why: &str) {
        let shown = String::from_utf8_lossy(bytes.as_ref()).chars().take(120).collect::<String>();
        let before = self.interception.as_ref().unwrap().leaves().len();
        let (got, body) = self.send(bytes).await;
        assert_eq!(got, status, "{shown}: {body}");
        let answer: ApiResponse<Value> = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{shown}: {body}"));
        assert!(!answer.success && answer.data.is_none(), "{shown}: {body}");
        assert!(answer.error.as_deref().unwrap().contains(why), "{shown}: {body}");
        assert_eq!(self.interception.as_ref().unwrap().leaves().len(), before);
    }
}

async fn rest(mut stream: UnixStream) -> (u16, String) {
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an answer in time").unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return (0, answer) };
    assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())) || body.is_empty(), "{answer}");
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn interception() -> Interception {
    let wanted = Wanted { algorithm: Algorithm::EcdsaP256, domains: Vec::new(), now: SystemTime::now() };
    let issuer = Issuer::new(Authority::make(&wanted).unwrap()).unwrap();
    let leaves = Leaves::new(issuer, LeafTtl::default()).unwrap();
    for name in ["a.example", "b.example", "c.example"] {
        leaves.leaf(&Name::parse(name).unwrap()).unwrap();
    }
    Interception::new(leaves, Upstreams::new(RootCertStore::empty()).unwrap())
}

#[tokio::test]
async fn endpoints_tell_what_there_is_and_a_flush_empties_the_cache() {
    let served = Served::intercepting();
    let interception = served.interception.as_ref().unwrap();
    let counters = interception.counters();
    counters.blocked(counters.intercepted());
    counters.intercepted();
    let status: InterceptStatus = served.data("GET /api/v1/proxy/intercept").await;
    let today = Today { intercepted_today: 2, blocked_today: 1 };
    assert_eq!(status, InterceptStatus { ca_loaded: true, leaf_cache_size: 3, leaf_cache_max: 1024, today });
    let authority = interception.leaves().authority();
    let status: CaStatus = served.data("GET /api/v1/ca/status").await;
    assert_eq!((status.loaded, status.leaf_cache_size, status.leaf_cache_max), (true, 3, 1024));
    assert_eq!(
        (status.subject.as_str(), status.fingerprint_sha256),
        (authority.subject(), authority.fingerprint_text())
    );
    assert!(status.not_before < status.not_after && status.not_after.ends_with('Z'));
    assert_eq!(served.data::<String>("GET /api/v1/ca/bundle").await, authority.to_pem());
    let flush = "POST /api/v1/proxy/intercept/cache/flush";
    assert_eq!(served.data::<Flushed>(flush).await, Flushed { evicted: 3 });
    assert_eq!(served.data::<Flushed>(flush).await, Flushed { evicted: 0 });
    assert_eq!(served.data::<InterceptStatus>("GET /api/v1/proxy/intercept").await.leaf_cache_size, 0);
}

#[tokio::test]
async fn without_an_authority_there_is_nothing_to_tell() {
    let served = Served::new(Limits { connections: 1, ..LIMITS }, None);
    let status: InterceptStatus = served.data("GET /api/v1/proxy/intercept").await;
    assert!(!status.ca_loaded && (status.leaf_cache_size, status.today) == (0, Today::default()));
    assert_eq!(served.data::<Flushed>("POST /api/v1/proxy/intercept/cache/flush").await, Flushed { evicted: 0 });
    for path in ["status", "bundle"] {
        let (status, body) = served.ask(&format!("GET /api/v1/ca/{path}")).await;
        assert!(status == 404 && body.contains("no certificate authority"), "{status} {body}");
    }
}

#[tokio::test]
async fn an_empty_body_is_taken_in_each_of_its_forms() {
    let flush = "POST /api/v1/proxy/intercept/cache/flush HTTP/1.1\r\nHost: x\r\n";
    for rest in [
        "\r\n",
        "Content-Length: 0\r\n\r\n",
        "Content-Length: 2\r\n\r\n{}",
        "Content-Length: 4\r\nExpect: 100-continue\r\n\r\n\r\n{}",
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n1;x=y\r\n{\r\n1\r\n}\r\n0\r\nT: u\r\n\r\n",
    ] {
        let (status, body) = Served::intercepting().send(format!("{flush}{rest}")).await;
        assert!(status == 200 && body.contains("\"evicted\":3"), "{rest}: {status} {body}");
    }
}

#[tokio::test]
async fn what_is_no_request_is_told_so_and_changes_nothing() {
    let served = Served::intercepting();
    let flush = "POST /api/v1/proxy/intercept/cache/flush HTTP/1.1\r\n";
    let long = "a".repeat(100_000);
    for (bytes, status, why) in [
        ("\r\n\r\n".to_owned(), 400, "line break"),
        ("\x16\x03\x01\x02\x00\r\n\r\n".to_owned(), 400, ""),
        ("nonsense\r\n\r\n".to_owned(), 400, "request line"),
        ("GET /\n\n".to_owned(), 400, "line break"),
        (format!("{flush}\r\n"), 400, "Host"),
        (format!("{flush}Host: a\r\nHost: b\r\n\r\n"), 400, "more than one Host"),
        (
            format!("{flush}Host: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            400,
            "two lengths",
        ),
        (format!("{flush}Host: a\r\nContent-Length: +0\r\n\r\n"), 400, "Content-Length"),
        (format!("{flush}Host: a\r\nContent-Length: 5\r\n\r\n{{}}"), 400, "ends early"),
        (format!("{flush}Host: a\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n"), 400, "chunked"),
        ("POST http://a/api/v1/proxy/intercept/cache/flush HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400, "wrong form"),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n".to_owned(), 400, "wrong form"),
        ("POST /api/v1/proxy/../proxy/intercept/cache/flush HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 400, ""),
        ("POST /api/v1/proxy/intercept/cache/flus%68 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 404, "no such path"),
        (format!("{flush}Host: a\r\nX: {long}\r\n\r\n"), 431, "too large"),
        (format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 431, "too large"),
        (format!("{flush}Host: a\r\nContent-Length: 99999999999\r\n\r\n"), 413, "at most 65536"),
        (format!("{flush}Host: a\r\nContent-Length: 100000\r\n\r\n{long}"), 413, "at most 65536"),
        (
            format!("{flush}Host: a\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n{long}\r\n0\r\n\r\n"),
            413,
            "at most 65536",
        ),
    ] {
        served.check_refused(bytes, status, why).await;
    }
    assert_eq!(served.send("").await, (0, String::new()));
    assert_eq!(served.interception.as_ref().unwrap().leaves().len(), 3);
}

#[tokio::test]
async fn a_slow_client_is_told_and_neither_holds_the_others_up_nor_uses_all_places() {
    let served =
        Served::new(Limits { connections: 2, request: Duration::from_millis(200), ..LIMITS }, Some(interception()));
    let mut slow = Vec::new();
    for _ in 0..4 {
        let mut stream = UnixStream::connect(&served.path).await.unwrap();
        stream.write_all(b"POST /api/v1/proxy/intercept/cache/flush HTTP/1.1\r\n").await.unwrap();
        slow.push(stream);
    }
    let begun = Instant::now();
    let status: InterceptStatus = served.data("GET /api/v1/proxy/intercept").await;
    assert_eq!(status.leaf_cache_size, 3);
    assert!(begun.elapsed() < PATIENCE);
    for stream in slow {
        let (status, body) = rest(stream).await;
        assert!(status == 408 && body.contains("in time"), "{status} {body}");
    }
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_not_waited_for() {
    let limits = Limits { request: Duration::from_millis(200), upload: Duration::from_millis(200), ..LIMITS };
    let served = Served::with(limits, |api| api.of_host(hosted::Recorded::host()));
    for (path, content_type) in [("dns/test", JSON_TYPE), ("rules/artifacts", outcall_schema::api::UPLOAD_TYPE)] {
        let mut stream = UnixStream::connect(&served.path).await.unwrap();
        let head = format!("POST /api/v1/{path} HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\n");
        stream.write_all(format!("{head}Content-Length: 100\r\n\r\n{{").as_bytes()).await.unwrap();
        let (status, body) = rest(stream).await;
        assert!(status == 408 && body.contains("in time"), "{path}: {status} {body}");
    }
    assert_eq!(served.ask("GET /api/v1/health").await.0, 200);
}

#[tokio::test]
async fn a_stranger_is_told_so_and_written_down() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let api = api(&log);
    for (group, why) in [(true, "members of the group `outcall`"), (false, "may ask, and root")] {
        let (mut theirs, ours) = UnixStream::pair().unwrap();
        api.turn_away(&ours, &peer::Stranger::User { group });
        drop(ours);
        let mut answer = String::new();
        theirs.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n") && answer.contains(why), "{answer}");
    }
    api.audit.flush().unwrap();
    let lines: Vec<Value> =
        std::fs::read_to_string(&log).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["event"], &lines[0]["decision"]), (&"stranger_refused".into(), &"block".into()));
    assert_eq!(lines[0]["pid"], std::process::id());
    assert_eq!(api.audit.meters().strangers.total(), 2);
}
