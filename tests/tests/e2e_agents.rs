//! The agents' socket of a host, and the shim that asks on it: who an agent is the kernel says, and what it may do the policy.
//! Containers have the same in `e2e_docker.rs`.
#![cfg(test)]

use std::time::{Duration, Instant};

use outcall_tests::fixtures::Ran;
use outcall_tests::fixtures::host::{Agent, Host};
use serde_json::Value;

const RULES: &str = r#"
version: "1"
rules:
  - { id: no-force, action: block, condition: '"--force" in run.flags', priority: 1 }
  - { id: tools, action: allow, condition: 'run.tool in ["echo", "sh", "outcall-no-such-program"]' }
  - { id: of-worker, action: allow, condition: 'run.tool == "git" && agent.name == "worker"' }
"#;
const OTHER: &str = r#"
version: "1"
rules:
  - { id: web, action: allow, condition: 'http.host == "allowed.test"' }
"#;

/// Waits until `so` holds, and fails when it never does.
#[track_caller]
fn eventually(what: &str, so: impl Fn() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < Duration::from_secs(20), "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The shim, run by an agent.
fn shim(host: &Host, agent: &Agent, words: &str) -> Ran {
    host.agent_sh(agent, &format!("outcall-agent --socket {} {words}", host.agent_socket().display()))
}

/// The shim on the host itself, with this before it.
fn on_host(host: &Host, before: &[&str], words: &[&str]) -> (Option<i32>, String) {
    let socket = host.agent_socket().display().to_string();
    let mut line = before.to_vec();
    line.extend(["outcall-agent", "--socket", &socket]);
    line.extend(words);
    let output = host.world.command(line[0], 30).args(&line[1..]).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn name(ran: &Ran) -> String {
    let told: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran}"));
    format!("{} {}", told["name"].as_str().unwrap(), told["agent"].as_str().unwrap())
}

/// What was refused to those who are no agents, in the order of the log.
fn strangers(host: &Host) -> Vec<String> {
    let audit = host.audit().into_iter().filter(|it| it["event"] == "stranger_refused" && it["socket"] == "agents");
    audit.map(|it| it["why"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Asserts that one more stranger was refused, for this reason.
#[track_caller]
fn check_stranger(host: &Host, before: usize, why: &str) {
    eventually(why, || strangers(host).len() > before);
    let found = strangers(host);
    assert!(found.len() == before + 1 && found[before].contains(why), "{why}: {:?}", &found[before..]);
}

#[test]
fn an_agent_is_who_the_kernel_says_it_is() {
    let host = Host::new(RULES);
    let (worker, other) = (host.attach("worker-1"), host.attach("other"));
    for (agent, expected) in [(&worker, "worker-1 worker"), (&other, "other other")] {
        let ran = shim(&host, agent, "checkin --json");
        assert_eq!(name(&ran), expected, "{ran}\n{}", host.said());
    }
    let told: Value = serde_json::from_str(&shim(&host, &worker, "checkin --json").stdout).unwrap();
    assert_eq!(told["proxy_url"], "http://10.200.0.1:8080");
    assert!(told["dns"].as_array().unwrap().contains(&"10.200.0.1:53".into()), "{told}");
    assert_eq!(told["policy_digest"], host.curl("/api/v1/health")["data"]["policy_digest"]);
    assert!(shim(&host, &worker, "checkin").stdout.contains("agent     worker\n"));

    // Anybody in the namespace is the agent: another user, and one in a process namespace below, as containers are.
    let socket = host.agent_socket().display().to_string();
    let mut befores = vec![format!("unshare --pid --fork outcall-agent --socket {socket} checkin --json")];
    if host.sh("cat /proc/self/uid_map").contains("4294967295") {
        host.sh(&format!("chmod 755 {} {}", host.world.dir().display(), host.dir().display()));
        let drop = "setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs --bounding-set=-all";
        befores.push(format!("{drop} outcall-agent --socket {socket} checkin --json"));
    }
    for line in befores {
        let ran = host.agent_sh(&worker, &line);
        assert_eq!(name(&ran), "worker-1 worker", "{line}: {ran}");
    }

    // What it says of itself is refused, or counts for nothing.
    let curl = format!("curl -sS --max-time 10 --unix-socket {socket} -X POST http://other/v1/checkin");
    let ran = host.agent_sh(&worker, &format!("{curl} -H 'X-Agent: other' -H 'Authorization: Bearer other'"));
    assert_eq!(name(&ran), "worker-1 worker");
    for claimed in [r#"{"name":"other"}"#, r#"{"agent":"other"}"#] {
        let ran = host.agent_sh(&worker, &format!("{curl} -H 'Content-Type: application/json' -d '{claimed}'"));
        assert!(ran.stdout.contains("no body to this request"), "{ran}");
    }
    // Nor does the operator's API answer here.
    let ran = host.agent_sh(&worker, &format!("curl -sS --max-time 10 --unix-socket {socket} http://x/api/v1/rules"));
    assert!(ran.stdout.contains("no such path for agents"), "{ran}");

    // Who is no agent is told so, with one record: the host itself, its operator included, and namespaces that nobody attached.
    let (status, said) = on_host(&host, &[], &["checkin"]);
    assert!(status == Some(1) && said.contains("only agents on the bridge"), "{said}");
    check_stranger(&host, 0, "only agents on the bridge");
    let free = Agent::new(&host, "free");
    let ran = shim(&host, &free, "check tool_exec echo");
    assert!(ran.status == 1 && ran.stderr.contains("only agents on the bridge"), "{ran}");
    check_stranger(&host, 1, "only agents on the bridge");
    let (status, _) = on_host(&host, &["unshare", "--net"], &["exec", "--", "echo", "ran"]);
    assert_eq!(status, Some(1));
    check_stranger(&host, 2, "only agents on the bridge");

    // An agent that is let go is none, and one that takes its address and port is another.
    assert_eq!(host.outcall(&["netns", "detach", "other"]).status, 0);
    let ran = shim(&host, &other, "checkin");
    assert!(ran.status == 1 && ran.stderr.contains("only agents on the bridge"), "{ran}");
    let newer = host.attach("newer");
    assert_eq!(name(&shim(&host, &newer, "checkin --json")), "newer newer");
}

/// Of root's own, whose processes and files are the host's.
#[test]
fn no_agent_is_answered_where_operators_are() {
    let host = Host::new(RULES);
    let agent = host.attach("worker");
    let flush = format!("outcall --socket {} dns flush", host.socket().display());
    assert_eq!(host.outcall(&["dns", "flush"]).status, 0);
    let ran = host.agent_sh(&agent, &flush);
    assert!(ran.status != 0 && ran.to_string().contains("no agent may ask"), "{ran}");
    let refused = host.audit().into_iter().filter(|it| it["event"] == "stranger_refused").count();
    assert_eq!(refused, 1, "one line in the log");
    // Whoever is behind no port is no agent.
    let free = Agent::new(&host, "free");
    let ran = host.agent_sh(&free, &flush);
    assert_eq!(ran.status, 0, "{ran}");
}

/// Each of these says two things of who it is, or nothing that can be relied on.
#[test]
fn who_could_be_two_is_nobody() {
    let host = Host::new(RULES);
    let (worker, other) = (host.attach("worker"), host.attach("other"));
    let socket = host.agent_socket().display().to_string();
    // Makes a socket in one namespace, enters another, and asks.
    let script = "import ctypes, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
def enter(path):
    assert libc.setns(os.open(path, os.O_RDONLY), 0x40000000) == 0, os.strerror(ctypes.get_errno())
here, first, second, path = '/proc/self/ns/net', *sys.argv[1:]
second = os.open(second, os.O_RDONLY)
enter(first)
asking = socket.socket(socket.AF_UNIX)
asking.settimeout(10)
assert libc.setns(second, 0x40000000) == 0
asking.connect(path)
try:
    asking.sendall(b'POST /v1/checkin HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')
except BrokenPipeError:
    pass
print(asking.recv(65536).decode())";
    let file = host.dir().join("apart.py");
    std::fs::write(&file, script).unwrap();
    let namespace = |pid: u32| format!("/proc/{pid}/ns/net");
    let own = "/proc/self/ns/net".to_owned();
    let run = |first: &str, second: &str| {
        host.sh(&format!("timeout 20 /usr/bin/python3 {} {first} {second} {socket}", file.display()))
    };
    let both = run(&namespace(worker.pid()), &namespace(worker.pid()));
    assert!(both.contains("\"name\":\"worker\""), "{both}");
    let mut before = 0;
    for (first, second) in [
        (namespace(worker.pid()), namespace(other.pid())),
        (namespace(worker.pid()), own.clone()),
        (own, namespace(worker.pid())),
    ] {
        let said = run(&first, &second);
        assert!(said.contains("403 Forbidden"), "{first} {second}: {said}");
        check_stranger(&host, before, "two network namespaces");
        before += 1;
    }
    // Whoever connected is gone when it is looked: its number may be another's by then. The daemon sleeps meanwhile.
    let script = "import os, socket, sys
asking = socket.socket(socket.AF_UNIX)
asking.settimeout(30)
asking.connect(sys.argv[1])
asking.sendall(b'POST /v1/checkin HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')
told, tell = os.pipe()
if os.fork():
    os._exit(0)
while os.getppid() == int(sys.argv[2]):
    pass
print('connected', flush=True)
print(asking.recv(65536).decode(), flush=True)";
    let file = host.dir().join("gone.py");
    std::fs::write(&file, script).unwrap();
    let answer = host.dir().join("answer");
    host.signal("STOP");
    let line = format!("sh -c 'exec /usr/bin/python3 {} {socket} $$' >{} 2>&1 &", file.display(), answer.display());
    host.agent_sh(&worker, &line);
    eventually("it has connected, and the one that did is gone", || {
        std::fs::read_to_string(&answer).is_ok_and(|text| text.contains("connected"))
    });
    host.signal("CONT");
    eventually("it is answered", || std::fs::read_to_string(&answer).is_ok_and(|text| text.contains("403 Forbidden")));
    check_stranger(&host, before, "has ended");

    // Two ports lead to it, each another agent's.
    let renamed = host.agent_sh(&other, "ip link set eth0 down && ip link set eth0 name first");
    assert_eq!(renamed.status, 0, "{renamed}");
    let twin = host.outcall(&["netns", "attach", &namespace(other.pid()), "--name", "twin"]);
    assert_eq!(twin.status, 0, "{twin}");
    let ran = shim(&host, &other, "checkin");
    assert!(ran.status == 1 && ran.stderr.contains("more than one port"), "{ran}");
    assert_eq!(name(&shim(&host, &worker, "checkin --json")), "worker worker");
}

#[test]
fn the_shim_runs_what_the_policy_allows_and_nothing_without_an_answer() {
    let mut host = Host::new(RULES);
    let (worker, other) = (host.attach("worker-1"), host.attach("other"));
    let ran = shim(&host, &worker, "exec -- echo one two");
    assert_eq!((ran.status, ran.stdout.as_str()), (0, "one two\n"), "{ran}");
    assert_eq!(shim(&host, &worker, "exec -- sh -c 'exit 7'").status, 7);
    assert_eq!(shim(&host, &worker, "exec --action tool_exec -- echo one").stdout, "one\n");
    assert_eq!(shim(&host, &worker, "exec -- outcall-no-such-program").status, 127);
    for (words, rule) in [("exec -- echo --force", "no-force"), ("exec -- touch ran", "default")] {
        let ran = shim(&host, &worker, words);
        assert!(ran.status == 1 && ran.stderr.contains(&format!("Blocked by outcall: {rule}")), "{words}: {ran}");
        assert_eq!(ran.stdout, "");
    }
    assert!(!host.world.dir().join("ran").exists());
    // By agent, and with one record for each refusal.
    assert_eq!(shim(&host, &worker, "check tool_exec git").stdout, "Allowed by of-worker.\n");
    assert_eq!(shim(&host, &other, "check tool_exec git").status, 1);
    let json = shim(&host, &other, "check tool_exec git --json");
    let told: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(told, serde_json::json!({ "allowed": false, "matched_rule": "default", "reason": "no_rule_allows" }));
    eventually("both are written", || host.refusals("other").len() == 2);
    assert_eq!(host.refusals("worker").len(), 2, "{:?}", host.refusals("worker"));
    for words in [
        "check shell_exec 'echo a; touch ran'",
        "check file_access ../x",
        "check tool_exec echo --metadata '{\"args\":1}'",
    ] {
        assert_eq!(shim(&host, &worker, words).status, 1, "{words}");
    }
    assert_eq!(shim(&host, &worker, "check nonsense x").status, 2);

    // Another policy decides at once.
    host.compile(OTHER);
    assert_eq!(host.outcall(&["rules", "reload", "--artifacts"]).status, 0);
    assert_eq!(shim(&host, &worker, "exec -- echo one").status, 1);
    assert_eq!(host.outcall(&["rules", "rollback"]).status, 0);
    assert_eq!(shim(&host, &worker, "exec -- echo one").status, 0);

    // Without the daemon nothing is permitted, and the next one knows the agents.
    host.signal("KILL");
    host.ended();
    for words in ["checkin", "check tool_exec echo", "exec -- echo one"] {
        let ran = shim(&host, &worker, words);
        assert!(ran.status == 5 && ran.stdout.is_empty() && ran.stderr.contains("is it running?"), "{words}: {ran}");
    }
    host.compile(RULES);
    host.start();
    assert_eq!(name(&shim(&host, &worker, "checkin --json")), "worker-1 worker");
    assert_eq!(shim(&host, &worker, "exec -- echo one").stdout, "one\n");
    // One that hangs gives no answer either, and is not waited for without end.
    host.signal("STOP");
    let ran = shim(&host, &worker, "exec -- echo one");
    assert!(ran.status == 5 && ran.stdout.is_empty() && ran.stderr.contains("does not answer"), "{ran}");
    host.signal("CONT");
    host.signal("TERM");
    assert_eq!(host.ended(), Some(0));
    assert!(!host.agent_socket().exists(), "the socket is given back");
}

#[test]
fn an_agent_that_floods_is_told_to_wait_and_the_others_are_answered() {
    let host = Host::new(RULES);
    let (worker, other) = (host.attach("worker"), host.attach("other"));
    let socket = host.agent_socket().display().to_string();
    let body = r#"{"action_type":"tool_exec","target":"echo"}"#;
    // One connection each, from one process; fragments are not sent.
    let flood = |path: &str, count: usize| {
        format!(
            "curl -sS --max-time 60 --unix-socket {socket} -X POST -H 'Content-Type: application/json' -d '{body}' \
             -o /dev/null -w '%{{http_code}}\\n' 'http://x/{path}#[1-{count}]' 2>/dev/null || true"
        )
    };
    let ran = host.agent_sh(&worker, &flood("v1/permissions/check", 250));
    let count = |status: &str| ran.stdout.lines().filter(|line| *line == status).count();
    assert!(count("200") >= 100 && count("429") > 0 && count("200") + count("429") == 250, "{ran}");
    assert_eq!(shim(&host, &other, "check tool_exec echo").status, 0);
    let refused = || host.refusals("worker").iter().filter(|(_, reason)| reason == "too_many_requests").count();
    eventually("one record for each", || refused() == count("429"));
    // Whatever a hostile one does, the others are answered: it holds connections open, and asks for nothing often.
    let open = format!("for i in $(seq 64); do nc -U -w 2 {socket} </dev/null >/dev/null 2>&1 & done");
    host.agent_sh(&worker, &open);
    assert_eq!(name(&shim(&host, &other, "checkin --json")), "other other");
    host.agent_sh(&worker, &flood("v1/nowhere", 1_000));
    assert_eq!(name(&shim(&host, &other, "checkin --json")), "other other");
    let metrics = host.curl_text("/metrics");
    assert!(metrics.contains("outcall_decisions_total{layer=\"run\""), "{metrics}");
}
