//! What an operator sees of a run that looks inside TLS, while it runs and in its log; and that the agent sees nothing of
//! the operator's socket.
#![cfg(test)]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Output, Stdio};

use outcall_tests::fixtures::{Outcall, Ran, User, World};
use serde_json::Value;

const RULES: &str = r#"
version: "1"
rules:
  - id: no-secret
    condition: http.path.startsWith("/secret")
    action: block
  - id: read
    condition: http.host in ["allowed.test", "other.test"] && http.method in ["GET", "HEAD"]
    action: allow
    egress:
      mode: intercept
  - id: said
    condition: http.host == "allowed.test" && http.method == "PUT" && http.body != null && http.body.contains("please")
    action: allow
    egress:
      mode: intercept
      match_body: true
  - id: clear
    condition: http.host == "only4.test" && http.scheme == "http"
    action: allow
    egress:
      ports: [80]
"#;

/// A run with a socket, whose agent says on standard output how far it is and goes on when told to.
struct Running {
    child: Child,
    orders: ChildStdin,
    said: BufReader<ChildStdout>,
    socket: PathBuf,
    log: PathBuf,
}

impl Running {
    fn start(world: &World, user: User, script: &str) -> Running {
        let outcall = Outcall::new(world, RULES).user(user);
        let log = outcall.log();
        let socket = log.with_file_name("operator.sock");
        let outcall = outcall.options(&["--socket", socket.to_str().unwrap()]);
        let mut command = outcall.command(&log);
        command.args(["sh", "-c", script]).current_dir(log.parent().unwrap());
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (orders, said) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Running { child, orders, said, socket, log }
    }

    /// The agent's next words. Empty when it is gone, which the time that it has to live bounds.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    fn go_on(&mut self) {
        writeln!(self.orders, "go").unwrap();
    }

    fn end(self) -> Ran {
        drop(self.orders);
        let output = self.child.wait_with_output().unwrap();
        Ran::new(&output, &self.log, RULES)
    }
}

/// What `outcall --socket ...` says, from outside the sandbox.
#[track_caller]
fn ask(world: &World, socket: &Path, arguments: &[&str], status: i32) -> (String, String) {
    let Output { status: ended, stdout, stderr } =
        world.command("outcall", 30).arg("--socket").arg(socket).args(arguments).output().unwrap();
    let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert_eq!(ended.code(), Some(status), "{arguments:?}\n{stdout}\n{stderr}");
    (stdout, stderr)
}

#[track_caller]
fn json(world: &World, socket: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&ask(world, socket, arguments, 0).0).unwrap()
}

#[test]
fn each_request_is_one_entry_and_the_counters_agree() {
    let world = World::new();
    let script = "
        c() { curl -sS -o /dev/null \"$@\"; }
        c -H 'Authorization: Bearer hush' 'https://allowed.test/path?q=1'; c https://allowed.test/secret/1
        c -X PUT -d 'yes please, hush' https://allowed.test/put; c -X PUT -d hush https://allowed.test/put
        c https://other.test/wrong; c --noproxy '*' https://allowed.test/status/204; c http://only4.test/clear
        echo done; read go; c https://allowed.test/last";
    let mut running = Running::start(&world, User::Caller, script);
    assert_eq!(running.line(), "done");
    let socket = running.socket.clone();
    let ask_json = |arguments: &[&str]| json(&world, &socket, arguments);
    let status = ask_json(&["proxy", "intercept", "--json"]);
    let expected = serde_json::json!({
        "ca_loaded": true, "leaf_cache_size": 2, "leaf_cache_max": 1024, "intercepted_today": 6, "blocked_today": 3
    });
    assert_eq!(status, expected);
    let text = ask(&world, &socket, &["proxy", "intercept"], 0).0;
    assert!(text.contains("2 of at most 1024 kept") && text.contains("6, of which 3 blocked"), "{text}");
    assert_eq!(ask_json(&["ca", "status", "--json"])["leaf_cache_size"], 2);
    assert_eq!(ask(&world, &socket, &["proxy", "intercept", "flush"], 0).0, "Evicted 2 certificate(s).\n");
    assert_eq!(ask_json(&["proxy", "intercept", "flush", "--json"]), serde_json::json!({ "evicted": 0 }));
    running.go_on();
    let ran = running.end();
    assert_eq!(ran.status, 0, "{ran}");
    let inside: Vec<&Value> = ran.audit.iter().filter(|record| record["subsystem"] == "proxy_intercept").collect();
    let line = |record: &&Value| {
        let http = &record["request"]["http"];
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let words = [&http["host"], &http["method"], &http["path"], &record["rule"], &record["decision"]].map(text);
        format!("{} {} {}", words.join(" "), record["status"], record["body_bytes"])
    };
    let mut lines: Vec<String> = inside.iter().map(line).collect();
    lines.sort();
    let mut expected = [
        "allowed.test GET /path?q=1 read allow 200 0",
        "allowed.test GET /secret/1 no-secret block 403 0",
        "allowed.test PUT /put said allow 200 16",
        "allowed.test PUT /put default block 403 4",
        "other.test GET /wrong default block 502 0",
        "allowed.test GET /status/204 read allow 204 0",
        "allowed.test GET /last read allow 200 0",
    ];
    expected.sort_unstable();
    assert_eq!(lines, expected, "{ran}");
    for record in &inside {
        let timings = &record["timings"];
        assert!(timings["decided_us"].as_u64() <= timings["total_us"].as_u64(), "{record:#}");
        assert_eq!(timings["answered_us"].is_u64(), record["decision"] == "allow", "{record:#}");
        assert!(["http/1.1", "h2"].iter().any(|protocol| record["protocol"] == *protocol), "{record:#}");
        assert!(!record.to_string().contains("hush"), "{record:#}");
    }
    // What the operator did has lines of its own.
    let decisions = ran.audit.iter().filter(|line| line.get("event").is_none()).count();
    assert_eq!(decisions, inside.len(), "what passes in the clear is not logged unless its rule says so: {ran}");
}

/// Tries to flush the cache at each path, and says what came of it.
const INTRUDER: &str = r#"
import socket, sys
for path in sys.argv[1:]:
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    try:
        s.connect(path)
        try:
            s.sendall(b"POST /api/v1/proxy/intercept/cache/flush HTTP/1.1\r\nHost: x\r\n\r\n")
        except OSError:
            pass
        answer = b""
        try:
            while got := s.recv(4096):
                answer += got
        except ConnectionResetError:
            pass
        print(path.rsplit("/", 1)[-1], answer.split(b"\r\n")[0].decode() or "nothing", b"evicted" in answer)
    except OSError as error:
        print(path.rsplit("/", 1)[-1], type(error).__name__)
"#;

#[test]
fn the_agent_does_not_reach_its_operators_socket_by_any_path() {
    for user in [User::Caller, User::Nobody] {
        let world = World::new();
        std::fs::write(world.dir().join("intruder.py"), INTRUDER).unwrap();
        let intruder = format!("/usr/bin/python3 -I {}", world.dir().join("intruder.py").display());
        let script = format!(
            "curl -sS -o /dev/null https://allowed.test/; echo ready; read go
             here=$(pwd); {intruder} $here/operator.sock $here/link; rm -f operator.sock 2>/dev/null
             ln operator.sock own 2>/dev/null; mv $here $here.moved && {intruder} $here.moved/operator.sock $here.moved/link
             (setsid {intruder} $here.moved/link); mv $here.moved $here; echo over; read go"
        );
        let mut running = Running::start(&world, user, &script);
        assert_eq!(running.line(), "ready");
        // A name that the sandbox could not know of, for the very same socket.
        let link = running.socket.with_file_name("link");
        std::fs::hard_link(&running.socket, &link).unwrap();
        running.go_on();
        let mut said = Vec::new();
        loop {
            match running.line() {
                line if line == "over" || line.is_empty() => break,
                line => said.push(line),
            }
        }
        let refused = "link HTTP/1.1 403 Forbidden False";
        let mut expected = vec!["operator.sock ConnectionRefusedError", refused];
        // Who may not move the directory gets no further with it.
        if said.len() > 3 {
            expected.extend(["operator.sock ConnectionRefusedError", refused]);
            expected.push(refused);
        } else {
            expected.push("link FileNotFoundError");
        }
        assert_eq!(said, expected);
        let mode = std::fs::metadata(&running.socket).unwrap().mode();
        assert_eq!(mode & 0o170_777, 0o140_600);
        // The operator gets there by the same link, and nothing was flushed.
        assert_eq!(ask(&world, &link, &["proxy", "intercept", "flush"], 0).0, "Evicted 1 certificate(s).\n");
        let socket = running.socket.clone();
        running.go_on();
        let ran = running.end();
        assert_eq!(ran.status, 0, "{ran}");
        assert!(!socket.exists(), "it is removed at the end");
        assert!(ask(&world, &link, &["proxy", "intercept"], 1).1.contains("is it running?"));
    }
}

#[test]
fn the_authority_of_a_run_is_told_and_a_place_is_taken_once() {
    let world = World::new();
    let mut running = Running::start(&world, User::Caller, "echo ready; cat $SSL_CERT_FILE; echo end; read go");
    assert_eq!(running.line(), "ready");
    let mut trusted = String::new();
    loop {
        match running.line() {
            line if line == "end" => break,
            line => trusted.push_str(&(line + "\n")),
        }
    }
    let socket = running.socket.clone();
    let bundle = ask(&world, &socket, &["ca", "bundle"], 0).0;
    assert!(trusted.contains(bundle.trim()), "{bundle}");
    let status = json(&world, &socket, &["ca", "status", "--json"]);
    assert_eq!((&status["loaded"], &status["leaf_cache_max"]), (&true.into(), &1024.into()), "{status}");
    assert_eq!(status["fingerprint_sha256"].as_str().unwrap().len(), 95);
    let at = ["--socket", socket.to_str().unwrap()];
    let second = Outcall::new(&world, RULES).options(&at).sh("echo started");
    assert_eq!((second.status, second.stdout.as_str()), (1, ""), "{second}");
    assert!(second.stderr.contains("another outcalld does"), "{second}");
    running.go_on();
    assert_eq!(running.end().status, 0);
    // What is no socket is left alone.
    std::fs::write(&socket, "precious").unwrap();
    let third = Outcall::new(&world, RULES).options(&at).sh("echo started");
    assert_eq!((third.status, third.stdout.as_str()), (1, ""), "{third}");
    assert_eq!(std::fs::read_to_string(&socket).unwrap(), "precious");
    let (_, said) = ask(&world, Path::new("nowhere.sock"), &["proxy", "intercept"], 1);
    assert_eq!(said, "outcall: cannot connect to outcalld at nowhere.sock: is it running?\n");
}

#[test]
fn a_run_that_looks_inside_nothing_says_so() {
    let world = World::new();
    let rules =
        "version: \"1\"\nrules:\n  - id: all\n    condition: http.host == \"allowed.test\"\n    action: allow\n";
    let outcall = Outcall::new(&world, rules);
    let log = outcall.log();
    let socket = log.with_file_name("s");
    let mut command = outcall.options(&["--socket", socket.to_str().unwrap()]).command(&log);
    command
        .args(["sh", "-c", "echo ready; read go"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let expected = serde_json::json!({
        "ca_loaded": false, "leaf_cache_size": 0, "leaf_cache_max": 1024, "intercepted_today": 0, "blocked_today": 0
    });
    assert_eq!(json(&world, &socket, &["proxy", "intercept", "--json"]), expected);
    assert!(ask(&world, &socket, &["ca", "status"], 6).1.contains("no certificate authority"));
    assert_eq!(ask(&world, &socket, &["ca", "bundle"], 6).0, "");
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    drop(child.stdin.take());
    assert!(child.wait().unwrap().code().is_some());
}
