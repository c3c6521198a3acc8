//! The fuzz targets of the two sockets: raw bytes at the operator's API and at the agents', each served as in the daemon.
//!
//! Whatever comes is answered once, in the envelope that callers are promised, and neither changes nor permits anything.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use outcall_compiler::Missing;
use outcall_runtime::api::agents::{AgentApi, Caller, Recognise, Recognised};
use outcall_runtime::api::{self, Api, agents};
use outcall_runtime::audit::Audit;
use outcall_runtime::dial::Dialer;
use outcall_runtime::dns::Resolver;
use outcall_runtime::load::{self, Authority, Trust};
use outcall_runtime::snapshot::{Policy, in_force};
use outcall_schema::api::agents::{Agent, AgentKind};
use outcall_schema::api::{Door, ENDPOINTS, EVENTS_TYPE, Takes};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::runtime::Runtime;

use super::served;

/// The names of the targets, and of the threads on which their servers run.
pub(super) const HOST: &str = "host-socket";
pub(super) const AGENTS: &str = "agents-socket";

/// How long an answer may take, where a caller has said all.
const PATIENCE: Duration = Duration::from_secs(4);

/// Nothing is allowed to agents.
const RULES: &str = r#"version: "1"
rules:
  - { id: names, action: allow, condition: 'dns.query == "only.example"' }
  - { id: no-force, action: block, condition: '"--force" in run.flags' }
"#;

pub(super) const WORDS: &[&str] = &[
    "\r\n",
    "\n",
    "\r\n\r\n",
    "GET ",
    "POST ",
    "HEAD ",
    "DELETE ",
    " HTTP/1.0",
    " HTTP/1.1",
    "http://x/api/v1/rules",
    "/api/v1/",
    "/v1/permissions/check",
    "/../",
    "%2f",
    "?refresh=true",
    "Host: x\r\n",
    "Host: y\r\n",
    "Content-Length: 0\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 18446744073709551615\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Content-Type: application/json\r\n",
    "Expect: 100-continue\r\n",
    "Connection: keep-alive\r\n",
    "0\r\n\r\n",
    "5\r\n",
    "{",
    "}",
    "[",
    "\"action_type\":\"tool_exec\"",
    "\"metadata\":{\"args\":[\"-f\"]}",
    "\"name\":\"a\"",
    "\\u0000",
    "null",
    "1e400",
];

/// A request for every endpoint behind a door, those that take something with something.
fn requests(door: Door) -> Vec<Vec<u8>> {
    const BODIES: [&str; 4] = [
        r#"{"context":{"http":{"host":"a.example","path":"/a?b"},"network":{"port":443}}}"#,
        r#"{"name":"only.example","record_type":"A","agent":"ci","resolve":false}"#,
        r#"{"action_type":"tool_exec","target":"git","metadata":{"args":["push","--force"],"cwd":"/workspace"}}"#,
        "not JSON",
    ];
    let head = |method: &str, path: &str| format!("{method} {path} HTTP/1.1\r\nHost: x\r\n");
    let mut requests: Vec<String> = Vec::new();
    for row in ENDPOINTS.iter().filter(|row| row.door() == door) {
        let path = row.path.replace("{id}", "names");
        let bare = head(row.method.name(), &path);
        requests.push(format!("{bare}Content-Length: 0\r\n\r\n"));
        if row.takes == Takes::Nothing {
            continue;
        }
        for body in BODIES {
            let length = body.len();
            requests.push(format!("{bare}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"));
            requests.push(format!(
                "{bare}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"
            ));
        }
    }
    requests.into_iter().map(String::into_bytes).collect()
}

pub(super) fn host_seeds() -> Vec<Vec<u8>> {
    requests(Door::Operator)
}

pub(super) fn agents_seeds() -> Vec<Vec<u8>> {
    requests(Door::Agents)
}

#[expect(clippy::expect_used, reason = "fixtures stop the test when they cannot be set up")]
fn policy() -> Policy {
    let rules = tempfile::tempdir().expect("a directory");
    let file = rules.path().join("rules.yaml");
    std::fs::write(&file, RULES).expect("a file");
    let artifacts = outcall_compiler::compile(&[file], Missing::Refused).artifacts.expect("a policy");
    for (name, bytes) in artifacts.files() {
        std::fs::write(rules.path().join(name), bytes).expect("a file");
    }
    in_force(load::from_dir(rules.path(), Authority::Present, &Trust::unsigned()).expect("artifacts"))
}

#[expect(clippy::expect_used, reason = "fixtures stop the test when they cannot be set up")]
fn audit() -> Audit {
    Audit::to_file(std::fs::OpenOptions::new().write(true).open("/dev/null").expect("/dev/null")).expect("a log")
}

/// Everybody is this agent.
#[derive(Clone)]
struct Decreed;

impl Recognise for Decreed {
    fn caller(&self, _: OwnedFd) -> Recognised<'_> {
        let agent = Agent {
            name: "web-1".to_owned(),
            agent: "web".to_owned(),
            kind: AgentKind::Netns,
            port: None,
            mac: None,
            ipv4: None,
            ipv6: None,
            attached_at: "2026-01-01T00:00:00.000Z".to_owned(),
        };
        Box::pin(async { Ok(Caller { agent }) })
    }
}

struct Served {
    runtime: Runtime,
    path: PathBuf,
    policy: Policy,
    audit: Audit,
}

impl Served {
    #[expect(clippy::expect_used, reason = "fixtures stop the test when they cannot be set up")]
    fn new(name: &'static str) -> Served {
        let path = tempfile::tempdir().expect("a directory").keep().join("s");
        Served { runtime: served::runtime(name), path, policy: policy(), audit: audit() }
    }

    #[expect(clippy::expect_used, reason = "fixtures stop the test when they cannot be set up")]
    fn listener(&self) -> UnixListener {
        let _ = std::fs::remove_file(&self.path);
        UnixListener::bind(&self.path).expect("a socket")
    }

    /// What is answered to this, where that is all that is said.
    fn answer(&self, input: &[u8]) -> Vec<u8> {
        let asked = self.runtime.block_on(async {
            tokio::time::timeout(PATIENCE, async {
                let mut stream = UnixStream::connect(&self.path).await?;
                // Who is refused at once may be told so before all is written.
                let _ = stream.write_all(input).await;
                let _ = stream.shutdown().await;
                let mut answer = Vec::new();
                let _ = stream.read_to_end(&mut answer).await;
                std::io::Result::Ok(answer)
            })
            .await
        });
        let answer = asked.map_err(|_| "there is no answer").and_then(|asked| asked.map_err(|_| "nobody listens"));
        assert!(answer.is_ok(), "{answer:?}");
        answer.unwrap_or_default()
    }
}

pub(super) fn check_host(input: &[u8]) {
    static SERVED: OnceLock<Served> = OnceLock::new();
    let served = SERVED.get_or_init(|| {
        let served = Served::new(HOST);
        let api = Api::new(served.policy.clone(), served.audit.clone(), Resolver::new(Vec::new(), Dialer::new()));
        let listener = served.listener();
        drop(served.runtime.spawn(api::serve(listener, api)));
        served
    });
    let before = served.policy.load().digest().to_owned();
    check_answer(input, &served.answer(input));
    assert_eq!(served.policy.load().digest(), before, "the policy is another");
    served::heard_no_panic(HOST);
}

pub(super) fn check_agents(input: &[u8]) {
    static SERVED: OnceLock<Served> = OnceLock::new();
    let served = SERVED.get_or_init(|| Served::new(AGENTS));
    // One that has counted nobody yet: else nobody would be read who asks as often as this.
    let api = AgentApi::new(
        served.policy.clone(),
        served.audit.clone(),
        Box::new(Decreed),
        &[],
        "http://10.200.0.1:8080".to_owned(),
    );
    let serving = served.runtime.spawn(agents::serve(served.listener(), api));
    let answer = served.answer(input);
    serving.abort();
    let allowed = check_answer(input, &answer).and_then(|body| body.get("allowed").cloned());
    assert_ne!(allowed, Some(Value::Bool(true)), "something is allowed");
    served::heard_no_panic(AGENTS);
}

/// There is one answer, of the length that it says, and a refusal in the envelope that callers are promised.
fn check_answer(input: &[u8], answer: &[u8]) -> Option<Value> {
    const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
    let text = String::from_utf8_lossy(answer);
    let answer = answer.strip_prefix(CONTINUE).unwrap_or(answer);
    assert!(!answer.is_empty() || input.is_empty(), "no answer");
    let end = answer.windows(4).position(|part| part == b"\r\n\r\n")?;
    let (head, body) = answer.split_at(end + 4);
    let head = String::from_utf8_lossy(head);
    let status =
        head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(|code| code.parse::<u16>().ok());
    assert!(status.is_some_and(|status| (200..600).contains(&status)), "{text:?}");
    let field = |name: &str| {
        let values: Vec<&str> = head
            .split("\r\n")
            .skip(1)
            .filter_map(|line| line.split_once(": "))
            .filter(|(is, _)| is.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect();
        assert!(values.len() <= 1, "{text:?}");
        values.first().map(|value| (*value).to_owned())
    };
    let content_type = field("content-type").unwrap_or_default();
    if content_type == EVENTS_TYPE {
        return None;
    }
    let length = field("content-length").and_then(|length| length.parse::<usize>().ok());
    let to_head = body.is_empty() && input.starts_with(b"HEAD ");
    assert!(to_head || length == Some(body.len()), "{text:?}");
    if to_head || !content_type.starts_with("application/json") {
        return None;
    }
    let value: Option<Value> = serde_json::from_slice(body).ok();
    assert!(value.is_some(), "{text:?} has no JSON");
    let success = value.as_ref().and_then(|value| value.get("success")).and_then(Value::as_bool);
    let in_envelope = match status.unwrap_or(0) {
        200..300 => success != Some(false),
        // Who asks whether all is ready is told what is not.
        503 => true,
        _ => success == Some(false),
    };
    assert!(in_envelope, "{text:?}");
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_are_understood() {
        let answered = |target: &str, check: fn(&[u8]), seeds: Vec<Vec<u8>>| {
            assert!(seeds.len() >= 6, "{target} has few");
            seeds.iter().for_each(|seed| check(seed));
        };
        answered(HOST, check_host, host_seeds());
        answered(AGENTS, check_agents, agents_seeds());
        let served = Served::new("seeds");
        let api = Api::new(served.policy.clone(), served.audit.clone(), Resolver::new(Vec::new(), Dialer::new()));
        drop(served.runtime.spawn(api::serve(served.listener(), api)));
        let (mut done, mut refused) = (0, 0);
        for seed in host_seeds() {
            if served.answer(&seed).starts_with(b"HTTP/1.1 200 ") { done += 1 } else { refused += 1 }
        }
        assert!(done >= 10 && refused >= 10, "{done} are answered, {refused} are not");
    }
}
