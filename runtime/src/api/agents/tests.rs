//! The agents' API over a real socket, for peers that are agents by decree: what is answered, refused, counted and written down.
//! Who a peer is takes namespaces, and is tried in `tests/tests/e2e_agents.rs`.

use std::sync::Mutex;

use outcall_compiler::{emit, resolve};
use outcall_schema::api::agents::AgentKind;
use outcall_schema::api::permissions::CHECKS_MAX;
use outcall_schema::api::{BODY_MAX, ENDPOINTS};
use outcall_schema::artifact::dns_table::DnsTable;
use outcall_schema::artifact::manifest::Manifest;
use outcall_schema::artifact::match_program::MatchProgram;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use super::*;
use crate::api::Place;
use crate::snapshot::{Snapshot, in_force};

const RULES: &str = r#"version: "1"
rules:
  - { id: no-force, action: block, condition: '"--force" in run.flags', priority: 5 }
  - { id: git, action: allow, condition: 'run.tool == "git" && agent.name == "web"', log: true }
  - { id: no-flags, action: allow, condition: 'run.tool == "plain" && size(run.flags) == 0' }
  - id: own-files
    action: allow
    condition: 'run.context.action_type == "file_access" && run.context.target.startsWith("/workspace/")'
  - { id: not-rm, action: allow, condition: 'run.tool != "rm" && agent.name == "trusted"' }
  - { id: held, action: hold, condition: 'run.tool == "git" && "hold" in run.args' }
"#;
/// Longer than any step takes on a busy machine.
const LONG: Duration = Duration::from_secs(30);

fn policy() -> Policy {
    let (policy, findings) = resolve::from_texts(&[("test.yaml", RULES)]);
    let (artifacts, more) = emit::artifacts(&policy);
    assert!(!findings.iter().chain(&more).any(|finding| finding.is_error()), "{findings:?} {more:?}");
    let artifacts = artifacts.expect("artifacts");
    in_force(Snapshot {
        dns: DnsTable::from_bytes(artifacts.dns.into()).unwrap(),
        program: MatchProgram::from_bytes(artifacts.proxy.into()).unwrap(),
        manifest: Manifest::from_bytes(&artifacts.manifest).unwrap(),
        nft: artifacts.nft,
    })
}

fn agent(name: &str) -> Agent {
    Agent {
        name: format!("{name}-1"),
        agent: name.to_owned(),
        kind: AgentKind::Netns,
        port: Some("oc0ac80002".to_owned()),
        mac: None,
        ipv4: Some("10.200.0.2".parse().unwrap()),
        ipv6: None,
        attached_at: "2026-01-01T00:00:00.000Z".to_owned(),
    }
}

/// Everybody is whom it says at the moment.
#[derive(Clone, Default)]
struct Decreed(Arc<Mutex<Option<Agent>>>);

impl Recognise for Decreed {
    fn caller(&self, _: OwnedFd) -> Recognised<'_> {
        let agent = self.0.lock().unwrap().clone();
        Box::pin(async { agent.map(|agent| Caller { agent }).ok_or(NoAgent::Elsewhere) })
    }
}

struct Served {
    path: std::path::PathBuf,
    directory: tempfile::TempDir,
    _socket: crate::api::Socket,
    decreed: Decreed,
    audit: Audit,
}

impl Served {
    fn new(name: &str) -> Served {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let socket = Place::find(&path).unwrap().bind_for_all().unwrap();
        let audit = Audit::to_path(&directory.path().join("log")).unwrap();
        let decreed = Decreed(Arc::new(Mutex::new(Some(agent(name)))));
        let dns = [SocketAddr::from(([10, 200, 0, 1], 53))];
        let proxy = "http://10.200.0.1:8080".to_owned();
        let api = AgentApi::new(policy(), audit.clone(), Box::new(decreed.clone()), &dns, proxy);
        tokio::spawn(serve(socket.listener().unwrap(), api));
        Served { path, directory, _socket: socket, decreed, audit }
    }

    async fn raw(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = UnixStream::connect(&self.path).await.unwrap();
        // Who is refused at once may be told so before all is written.
        let _ = stream.write_all(bytes.as_ref()).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = timeout(LONG, stream.read_to_end(&mut answer)).await.expect("an answer in time");
        String::from_utf8(answer).unwrap()
    }

    async fn send(&self, bytes: impl AsRef<[u8]>) -> (u16, Value) {
        let answer = self.raw(bytes).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer}"));
        assert!(head.contains(&format!("\r\nContent-Length: {}", body.len())), "{answer}");
        (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap())
    }

    async fn post(&self, path: &str, body: &str) -> (u16, Value) {
        self.send(post(path, JSON_TYPE, body)).await
    }

    async fn check(&self, body: Value) -> (u16, Value) {
        self.post("/v1/permissions/check", &body.to_string()).await
    }

    /// What the log has by now.
    fn log(&self) -> Vec<Value> {
        self.audit.flush().unwrap();
        let text = std::fs::read_to_string(self.directory.path().join("log")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Asserts that this is refused, in an envelope, with one record of this reason.
    async fn check_refused(&self, bytes: impl AsRef<[u8]>, status: u16, reason: &str, why: &str) {
        let shown = String::from_utf8_lossy(bytes.as_ref()).chars().take(160).collect::<String>();
        let before = self.log().len();
        let (got, body) = self.send(bytes).await;
        assert_eq!(got, status, "{shown}: {body}");
        assert!(body["success"] == false && body["error"].as_str().unwrap().contains(why), "{shown}: {body}");
        assert!(body["allowed"].is_null(), "{body}");
        let log = self.log();
        let [record] = &log[before..] else { panic!("{shown}: {:?}", &log[before..]) };
        let said = [&record["agent"], &record["layer"], &record["decision"], &record["reason"]];
        assert_eq!(said, ["web", "run", "block", reason], "{shown}: {record}");
    }
}

fn post(path: &str, content_type: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n{body}")
}

#[tokio::test]
async fn an_agent_is_told_who_it_is_and_what_it_may_use() {
    let served = Served::new("web");
    for body in ["", "{}"] {
        let (status, told) = served.post("/v1/checkin", body).await;
        let told: CheckedIn = serde_json::from_value(told).unwrap();
        assert_eq!(
            (status, told.name.as_str(), told.agent.as_str(), told.kind),
            (200, "web-1", "web", AgentKind::Netns)
        );
        assert_eq!((told.dns, told.proxy_url), (vec!["10.200.0.1:53".to_owned()], "http://10.200.0.1:8080".to_owned()));
        assert!(told.policy_digest.starts_with("sha256:") && told.ipv4.is_some() && told.ipv6.is_none());
    }
    // Who it is, it cannot say.
    let claimed = r#"{"name":"trusted-1","agent":"trusted"}"#;
    served.check_refused(post("/v1/checkin", JSON_TYPE, claimed), 400, "bad_request", "no body").await;
    let headers =
        "POST /v1/checkin HTTP/1.1\r\nHost: trusted\r\nX-Agent: trusted\r\nAuthorization: Basic dHJ1c3RlZA==\r\n\r\n";
    assert_eq!(served.send(headers).await.1["agent"], "web");
}

#[tokio::test]
async fn checks_are_decided_by_the_policy_and_refusals_leave_one_record_each() {
    let served = Served::new("web");
    for (asked, allowed, rule, reason) in [
        (json!({"action_type": "shell_exec", "target": "git push origin"}), true, "git", "allowed"),
        (json!({"action_type": "tool_exec", "target": "git"}), true, "git", "allowed"),
        (json!({"action_type": "shell_exec", "target": "git push --force"}), false, "no-force", "blocked_by_rule"),
        (
            json!({"action_type": "shell_exec", "target": "git", "metadata": {"args": ["push", "--force"]}}),
            false,
            "no-force",
            "blocked_by_rule",
        ),
        (json!({"action_type": "shell_exec", "target": "curl"}), false, "default", "no_rule_allows"),
        // What is not said is not known: neither that there are no flags, nor that it is another tool.
        (json!({"action_type": "tool_exec", "target": "plain", "metadata": {"args": []}}), true, "no-flags", "allowed"),
        (json!({"action_type": "tool_exec", "target": "plain"}), false, "default", "no_rule_allows"),
        (json!({"action_type": "file_access", "target": "git"}), false, "", ""),
        (json!({"action_type": "file_access", "target": "/workspace/a"}), true, "own-files", "allowed"),
        (json!({"action_type": "file_access", "target": "/etc/passwd"}), false, "default", "no_rule_allows"),
        (json!({"action_type": "network_call", "target": "https://a.example/"}), false, "default", "no_rule_allows"),
        (json!({"action_type": "shell_exec", "target": "git hold"}), false, "held", "obligation_unavailable"),
    ] {
        let before = served.log().len();
        let (status, told) = served.check(asked.clone()).await;
        let log = served.log();
        if rule.is_empty() {
            assert_eq!((status, log[before]["reason"].as_str()), (400, Some("ambiguous_request")), "{asked}");
            continue;
        }
        assert_eq!(
            (status, told),
            (200, json!({"allowed": allowed, "matched_rule": rule, "reason": reason})),
            "{asked}"
        );
        // The rule `git` says that what it allows is logged.
        assert_eq!(log.len() - before, usize::from(!allowed || rule == "git"), "{asked}");
        if let Some(record) = log.get(before) {
            assert_eq!(
                (&record["agent"], &record["rule"], &record["reason"]),
                (&json!("web"), &json!(rule), &json!(reason))
            );
            assert_eq!(record["request"]["target"], asked["target"], "{record}");
        }
    }
    // A rule on another agent is not for this one, whatever it says.
    let claimed =
        json!({"action_type": "tool_exec", "target": "x", "metadata": {"agent": "trusted", "agent.name": "trusted"}});
    assert_eq!(served.check(claimed.clone()).await.1["allowed"], false);
    *served.decreed.0.lock().unwrap() = Some(agent("trusted"));
    assert_eq!(served.check(claimed).await.1["matched_rule"], "not-rm");
    let file = json!({"action_type": "file_access", "target": "/x"});
    assert_eq!(served.check(file).await.1["allowed"], false, "a test that says `not` allows nothing that is not known");
}

#[tokio::test]
async fn what_is_no_request_is_refused_with_one_record() {
    let served = Served::new("web");
    let check = |body: &str| post("/v1/permissions/check", JSON_TYPE, body);
    let good = r#"{"action_type":"tool_exec","target":"git"}"#;
    for body in [
        "",
        "{",
        "\0",
        "[]",
        "null",
        "{}",
        "{} {}",
        "\u{feff}{}",
        r#"{"target":"git"}"#,
        r#"{"action_type":"x","target":"git"}"#,
    ] {
        served.check_refused(check(body), 400, "bad_request", "the body cannot be used").await;
    }
    for (body, why) in [
        (r#"{"action_type":"tool_exec","target":"git","agent":"trusted"}"#, "unknown field `agent`"),
        (r#"{"action_type":"tool_exec","target":"git","target":"git"}"#, "given twice"),
        (r#"{"action_type":"tool_exec","target":"git","metadata":{"a":1,"a":1}}"#, "given twice"),
        (r#"{"action_type":"tool_exec","target":""}"#, "not empty"),
        (r#"{"action_type":"tool_exec","target":"git","metadata":{"args":"x"}}"#, "`args` is a list"),
    ] {
        served.check_refused(check(body), 400, "bad_request", why).await;
    }
    served
        .check_refused(check(r#"{"action_type":"shell_exec","target":"git; rm"}"#), 400, "ambiguous_request", "shell")
        .await;
    served.check_refused(check(&"a".repeat(BODY_MAX + 1)), 413, "bad_request", "at most 65536").await;
    served.check_refused(post("/v1/permissions/check", "text/plain", good), 415, "bad_request", "Content-Type").await;
    let long = "a".repeat(100_000);
    served
        .check_refused(format!("POST /v1/checkin HTTP/1.1\r\nHost: x\r\nX: {long}\r\n\r\n"), 431, "head_too_large", "")
        .await;
    served.check_refused("nonsense\r\n\r\n", 400, "bad_request", "").await;
    served
        .check_refused(
            "POST /v1/checkin?agent=trusted HTTP/1.1\r\nHost: x\r\n\r\n",
            400,
            "bad_request",
            "no parameters",
        )
        .await;
    // Nothing of the operator's is here, by no method.
    for row in ENDPOINTS {
        let path = row.path_of("web");
        let other = if row.method.name() == "GET" { "POST" } else { "GET" };
        for method in [row.method.name(), other, "PUT"] {
            let served_here = row.door() == Door::Agents;
            if served_here && method == row.method.name() {
                continue;
            }
            let (status, why) = if served_here { (405, "asked with POST") } else { (404, "no such path for agents") };
            served
                .check_refused(format!("{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n"), status, "bad_request", why)
                .await;
        }
    }
    assert_eq!(served.check(serde_json::from_str(good).unwrap()).await.0, 200, "it goes on");
}

#[tokio::test]
async fn who_is_no_agent_is_told_so_and_written_down_once() {
    let served = Served::new("web");
    *served.decreed.0.lock().unwrap() = None;
    let answer = served.raw("").await;
    assert!(
        answer.starts_with("HTTP/1.1 403 Forbidden\r\n") && answer.contains("only agents on the bridge"),
        "{answer}"
    );
    let log = served.log();
    assert_eq!(log.len(), 1);
    assert_eq!((&log[0]["event"], &log[0]["socket"]), (&json!("stranger_refused"), &json!("agents")));
    assert_eq!((&log[0]["decision"], &log[0]["pid"]), (&json!("block"), &json!(std::process::id())));
    assert_eq!(served.audit.meters().agent_strangers.total(), 1);
}

#[tokio::test]
async fn whoever_asks_too_often_is_told_when_to_ask_again() {
    let served = Served::new("web");
    let good = json!({"action_type": "tool_exec", "target": "git"});
    for _ in 0..CHECKS_MAX {
        assert_eq!(served.check(good.clone()).await.0, 200);
    }
    let request = post("/v1/permissions/check", JSON_TYPE, &good.to_string());
    let answer = served.raw(&request).await;
    let wait = answer.lines().find_map(|line| line.strip_prefix("Retry-After: ")).unwrap_or_else(|| panic!("{answer}"));
    assert!(answer.starts_with("HTTP/1.1 429 ") && (1..=10).contains(&wait.parse::<u64>().unwrap()), "{answer}");
    served.check_refused(&request, 429, "too_many_requests", "too often").await;
    // In the end it is not even looked who asks, whatever is asked: all of these come from one network namespace.
    *served.decreed.0.lock().unwrap() = Some(agent("other"));
    for at in 0.. {
        let (status, body) = served.post("/v1/nowhere", "").await;
        if status == 429 {
            assert!(body["error"].as_str().unwrap().contains("too often"), "{body}");
            break;
        }
        assert!(status == 404 && at < 3 * CHECKS_MAX, "{at}: {body}");
    }
    assert_eq!(served.log().last().unwrap()["agent"], "other");
    *served.decreed.0.lock().unwrap() = None;
    assert_eq!(served.post("/v1/checkin", "").await.0, 429, "nobody was looked at");
}

#[tokio::test]
async fn one_agent_s_open_connections_do_not_keep_others_out() {
    let served = Served::new("web");
    let mut slow = Vec::new();
    for _ in 0..8 {
        let mut stream = UnixStream::connect(&served.path).await.unwrap();
        stream.write_all(b"POST /v1/check").await.unwrap();
        slow.push(stream);
    }
    // They are accepted in their order, but looked at each by itself.
    let crowded = async {
        loop {
            let (status, body) = served.post("/v1/checkin", "").await;
            if status == 429 {
                break body;
            }
        }
    };
    let body = timeout(LONG, crowded).await.unwrap();
    assert!(body["error"].as_str().unwrap().contains("at a time"), "{body}");
    assert!(served.log().iter().any(|record| record["reason"] == "too_many_connections"));
    *served.decreed.0.lock().unwrap() = Some(agent("other"));
    assert_eq!(served.post("/v1/checkin", "").await.1["agent"], "other");
    // What takes longer than it may is a no.
    for mut stream in slow {
        let mut answer = String::new();
        timeout(LONG, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
    assert!(served.log().iter().filter(|record| record["reason"] == "agent_timeout").count() == 8);
}
