//! A host whose policy changes, and whose daemon dies, while agents never stop sending.
//!
//! `OUTCALL_RELOADS`, `OUTCALL_KILLS` and `OUTCALL_CRASHES` ask for more of each; the long forms are 1000, 100 and 50.
#![cfg(test)]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use outcall_schema::artifact::digest::Digest;
use outcall_schema::artifact::manifest::Manifest;
use outcall_tests::fixtures::host::{Agent, Host};
use outcall_tests::fixtures::zone;
use outcall_tests::generate::Random;
use serde_json::Value;

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Two policies that let the same pass, and whose refusals tell which of them it was.
fn policy(name: &str) -> String {
    format!(
        "version: \"1\"\nrules:\n  - {{ id: {name}-no, action: block, condition: 'http.path == \"/no\"' }}\n  - {{ id: {name}-web, action: allow, condition: 'http.host == \"allowed.test\"' }}\n"
    )
}

/// Asks for what both policies allow and for what both refuse, over kept connections, until told to stop; then says how
/// many answers of which kind there were and how long the slowest hundredth took.
const CLIENT: &str = r#"
import http.client, json, sys, threading, time
counts, times, lock, stop = {}, [], threading.Lock(), threading.Event()
def work():
    connection = http.client.HTTPConnection("10.200.0.1", 8080, timeout=20)
    mine, took = {}, []
    number = 0
    while not stop.is_set():
        number += 1
        path = "/no" if number % 2 else "/yes"
        begin = time.perf_counter()
        try:
            connection.request("GET", "http://allowed.test" + path)
            answer = connection.getresponse()
            body = answer.read()
            key = "%d %s" % (answer.status, answer.getheader("X-Outcall-Block-Reason") or path)
        except Exception as error:
            key = "failed %s %r" % (path, error)
            connection.close()
            connection = http.client.HTTPConnection("10.200.0.1", 8080, timeout=20)
        took.append(time.perf_counter() - begin)
        mine[key] = mine.get(key, 0) + 1
    with lock:
        times.extend(took)
        for key, count in mine.items(): counts[key] = counts.get(key, 0) + count
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
print("sending", flush=True)
sys.stdin.readline()
stop.set()
for thread in threads: thread.join()
times.sort()
print(json.dumps({"counts": counts, "p99_ms": times[int(len(times) * 0.99)] * 1000, "requests": len(times)}), flush=True)
"#;

/// The client at work.
struct Sending(Child, std::io::BufReader<std::process::ChildStdout>);

impl Sending {
    fn start(host: &Host, agent: &Agent) -> Sending {
        let mut command = host.agent_command(agent, 800);
        command.args(["/usr/bin/python3", "-I", "-c", CLIENT]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut said = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        std::io::BufRead::read_line(&mut said, &mut line).unwrap();
        assert_eq!(line, "sending\n");
        Sending(child, said)
    }

    fn stop(mut self) -> Value {
        self.0.stdin.take().unwrap().write_all(b"\n").unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut self.1, &mut line).unwrap();
        self.0.wait().unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }
}

/// A POST on the operator's socket: the status and the answer's data.
fn post(socket: &Path, path: &str, kind: &str, body: &[u8]) -> std::io::Result<(u16, Value)> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let content = if body.is_empty() { String::new() } else { format!("Content-Type: {kind}\r\n") };
    write!(stream, "POST {path} HTTP/1.1\r\nHost: outcall\r\n{content}Content-Length: {}\r\n\r\n", body.len())?;
    stream.write_all(body)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
    Ok((status, serde_json::from_str(body).unwrap_or_default()))
}

fn point(host: &Host, at: &str) {
    let (link, next) = (host.artifacts(), host.dir().join("next"));
    let _ = std::fs::remove_dir_all(&link).or_else(|_| std::fs::remove_file(&link));
    std::os::unix::fs::symlink(host.dir().join(at), &next).unwrap();
    std::fs::rename(&next, &link).unwrap();
}

#[test]
fn invariant_3_each_request_is_decided_by_one_policy_while_they_change() {
    let host = Host::new(&policy("a"));
    for name in ["a", "b"] {
        host.compile_to(&policy(name), &host.dir().join(name));
    }
    let agent = host.attach("worker");
    let quiet = Sending::start(&host, &agent);
    std::thread::sleep(Duration::from_secs(2));
    let quiet = quiet.stop();
    let busy = Sending::start(&host, &agent);
    let (reloads, mut slowest) = (number("OUTCALL_RELOADS", 50), Duration::ZERO);
    for at in 0..reloads {
        point(&host, if at % 2 == 0 { "b" } else { "a" });
        let began = Instant::now();
        let (status, answer) = post(&host.socket(), "/api/v1/rules/reload", "", b"").unwrap();
        slowest = slowest.max(began.elapsed());
        assert_eq!(status, 200, "{answer}");
    }
    let busy = busy.stop();
    println!("quiet {quiet}\nbusy, {reloads} reloads, the slowest {slowest:?}: {busy}");
    let counts = busy["counts"].as_object().unwrap();
    let known = ["200 /yes", "403 a-no", "403 b-no"];
    assert!(counts.keys().all(|key| known.contains(&key.as_str())), "{busy}");
    assert!(known.iter().all(|key| counts.contains_key(*key)), "both policies refused: {busy}");
    let (yes, no) = (counts["200 /yes"].as_u64().unwrap(), counts["403 a-no"].as_u64().unwrap());
    let no = no + counts["403 b-no"].as_u64().unwrap();
    assert!(yes.abs_diff(no) <= 4, "every second request passed: {busy}");
    // The record of each refusal names a rule of the policy that it names.
    let digest = |name: &str| {
        let text = std::fs::read_to_string(host.dir().join(name).join("manifest.json")).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["policy_digest"].as_str().unwrap().to_owned()
    };
    let (a, b) = (digest("a"), digest("b"));
    let refused = host.audit().into_iter().filter(|line| line["decision"] == "block" && line["layer"] == "http");
    let mut records = 0;
    for record in refused {
        let of = if record["policy"] == a.as_str() { "a-no" } else { "b-no" };
        assert!(record["policy"] == a.as_str() || record["policy"] == b.as_str(), "{record}");
        assert_eq!(record["rule"], of, "{record}");
        records += 1;
    }
    let before: u64 = quiet["counts"]["403 a-no"].as_u64().unwrap();
    assert_eq!(records, no + before, "each refusal has one record");
}

/// Tries what is refused, and what is allowed, for as long as the file that it is given is there.
const TRYING: &str = "while [ -e \"$0\" ]; do
    curl -s --max-time 1 http://allowed.test/yes >/dev/null
    curl -s --max-time 1 http://evil.test/ >/dev/null
    curl -s --max-time 1 -H 'Host: evil.test' http://93.184.216.34/ >/dev/null
    printf x | nc -u -w 0 93.184.216.34 123
    printf x | nc -N -w 1 93.184.216.35 7000
    ping -c 1 -W 1 93.184.216.35 >/dev/null
    ping -6 -c 1 -W 1 2606:2800:220:1::35 >/dev/null
    dig +time=1 +tries=1 @93.184.216.53 evil.test >/dev/null
    dig +time=1 +tries=1 @2606:2800:220:1::53 evil.test >/dev/null
done";

#[test]
fn whenever_the_daemon_is_killed_nothing_denied_arrives() {
    let mut host = Host::new(&policy("a"));
    let agents = [host.attach("one"), host.attach("two")];
    let go_on = host.dir().join("go-on");
    std::fs::write(&go_on, "").unwrap();
    let start =
        |agent| host.agent_command(agent, 800).args(["sh", "-c", TRYING]).arg(&go_on).stderr(Stdio::null()).spawn();
    let trying: Vec<Child> = agents.iter().map(|agent| start(agent).unwrap()).collect();
    let mut random = Random::new(7);
    let kills = number("OUTCALL_KILLS", 10);
    for _ in 0..kills {
        // Some die before they have begun, some while they load, some at work.
        std::thread::sleep(Duration::from_millis(random.below(400).try_into().unwrap()));
        host.signal("KILL");
        host.ended();
        host.spawn();
    }
    host.ready().unwrap();
    for agent in &agents {
        let ran = host.agent_sh(agent, "curl -sS --max-time 10 http://allowed.test/last");
        assert!(ran.stdout.contains("saw GET /last"), "{} is still guarded, and served: {ran}", agent.name());
    }
    std::fs::remove_file(&go_on).unwrap();
    for mut child in trying {
        child.wait().unwrap();
    }
    let arrived = host.world.arrived();
    assert!(arrived.iter().all(|line| line.ends_with(" allowed.test")), "{arrived:?}");
    assert!(!host.world.queries().iter().any(|query| query.starts_with("evil")));
    host.world.check_only_reached(&[(zone::CDN_V4.into(), 80), (zone::CDN_V6.into(), 80)]);
    println!("{kills} kills, {} requests passed", arrived.len());
}

#[test]
fn where_keys_are_trusted_only_what_they_signed_is_loaded() {
    let mut host = Host::new(&policy("a"));
    let key = |name: &str| host.dir().join(name).join("policy.key").display().to_string();
    for name in ["ours", "theirs"] {
        let made = host.outcall(&["keygen", "--out", &host.dir().join(name).display().to_string()]);
        assert_eq!(made.status, 0, "{made}");
    }
    for (name, by) in [("a", Some("ours")), ("b", Some("ours")), ("unsigned", None), ("foreign", Some("theirs"))] {
        let directory = host.dir().join(name);
        host.compile_to(&policy(if name == "a" { "a" } else { "b" }), &directory);
        if let Some(by) = by {
            let signed = host.outcall(&["sign", &directory.display().to_string(), "--key", &key(by)]);
            assert_eq!(signed.status, 0, "{signed}");
        }
    }
    let public = key("ours").replace("policy.key", "policy.pub");
    host.signal("TERM");
    host.ended();
    point(&host, "a");
    host.add_options(&["--trust-key", &public]);
    host.start();
    for (name, expected, rule) in [("unsigned", 422, "a-no"), ("foreign", 422, "a-no"), ("b", 200, "b-no")] {
        point(&host, name);
        let (status, answer) = post(&host.socket(), "/api/v1/rules/reload", "", b"").unwrap();
        assert_eq!(status, expected, "{name}: {answer}");
        assert!(host.outcall(&["rules", "list"]).stdout.contains(rule), "{name}");
    }
    // And at the start: what is given is not signed, so what was kept, and is, begins.
    host.signal("TERM");
    host.ended();
    point(&host, "unsigned");
    host.start();
    assert!(host.outcall(&["rules", "list"]).stdout.contains("b-no"));
    assert!(host.said().contains("manifest.sig"), "{}", host.said());
}

#[test]
fn a_load_that_fails_or_dies_at_any_point_leaves_a_whole_policy() {
    let mut host = Host::new(&policy("a"));
    let agent = host.attach("worker");
    let asks = |host: &Host| {
        let ran = host.agent_sh(&agent, "curl -s --max-time 10 -D - -x http://10.200.0.1:8080 http://allowed.test/no");
        let reason = ran.stdout.lines().find_map(|line| line.strip_prefix("X-Outcall-Block-Reason: "));
        reason.unwrap_or_else(|| panic!("{ran}\n{}", host.said())).trim().to_owned()
    };
    assert_eq!(asks(&host), "a-no");
    // What is no policy is refused with a reason, and changes nothing.
    let b = host.dir().join("b");
    host.compile_to(&policy("b"), &b);
    let break_at = |name: &str, change: &dyn Fn(Vec<u8>) -> Vec<u8>| {
        let broken = host.dir().join("broken");
        let _ = std::fs::remove_dir_all(&broken);
        std::fs::create_dir(&broken).unwrap();
        for file in ["manifest.json", "outcall.nft", "dns.table", "proxy.prog"] {
            let bytes = std::fs::read(b.join(file)).unwrap();
            let bytes = if file == name { change(bytes) } else { bytes };
            std::fs::write(broken.join(file), bytes).unwrap();
        }
    };
    for file in ["manifest.json", "outcall.nft", "dns.table", "proxy.prog"] {
        let changes: [&dyn Fn(Vec<u8>) -> Vec<u8>; 3] = [
            &|bytes: Vec<u8>| bytes[..bytes.len() / 2].to_vec(),
            &|mut bytes: Vec<u8>| {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                bytes
            },
            &|_| Vec::new(),
        ];
        for change in changes {
            break_at(file, change);
            point(&host, "broken");
            let (status, answer) = post(&host.socket(), "/api/v1/rules/reload", "", b"").unwrap();
            assert_eq!(status, 422, "{file}: {answer}");
            assert_eq!(asks(&host), "a-no");
        }
    }
    // A ruleset that belongs to its manifest and that the kernel does not take.
    break_at("", &|bytes| bytes);
    let broken = host.dir().join("broken");
    let nft = std::fs::read_to_string(broken.join("outcall.nft")).unwrap().replace("policy drop", "policy nonsense");
    let mut manifest = Manifest::from_bytes(&std::fs::read(broken.join("manifest.json")).unwrap()).unwrap();
    let row = manifest.files.iter_mut().find(|row| row.name == "outcall.nft").unwrap();
    (row.size, row.digest) = (nft.len() as u64, Digest::of(nft.as_bytes()));
    std::fs::write(broken.join("outcall.nft"), nft).unwrap();
    std::fs::write(broken.join("manifest.json"), manifest.to_bytes()).unwrap();
    point(&host, "broken");
    let (status, answer) = post(&host.socket(), "/api/v1/rules/reload", "", b"").unwrap();
    assert!(status == 422 && answer.to_string().contains("nft refused the ruleset"), "{status} {answer}");
    assert_eq!(asks(&host), "a-no");
    // Killed at a random point of a load: what comes up is the one or the other, whole, in the kernel and in the proxy.
    let mut random = Random::new(11);
    let crashes = number("OUTCALL_CRASHES", 8);
    let mut seen = std::collections::BTreeMap::<String, usize>::new();
    for at in 0..crashes {
        host.compile_to(&policy("a"), &host.dir().join("a"));
        point(&host, if at % 2 == 0 { "b" } else { "a" });
        let socket = host.socket();
        let loading = std::thread::spawn(move || post(&socket, "/api/v1/rules/reload", "", b""));
        std::thread::sleep(Duration::from_micros(random.below(60_000).try_into().unwrap()));
        host.signal("KILL");
        host.ended();
        let _ = loading.join().unwrap();
        // What is given does not load, so that what was kept has to.
        point(&host, "broken");
        host.start();
        let rule = asks(&host);
        let listed = host.outcall(&["rules", "list"]).stdout;
        let (this, other) = if rule == "a-no" { ("a-web", "b-web") } else { ("b-web", "a-web") };
        assert!(listed.contains(this) && !listed.contains(other), "{rule}: {listed}");
        *seen.entry(rule).or_default() += 1;
    }
    println!("{crashes} crashes: {seen:?}");
    // And back to the one before, where there is one.
    point(&host, "a");
    host.outcall(&["rules", "reload", "--artifacts"]);
    point(&host, "b");
    host.outcall(&["rules", "reload", "--artifacts"]);
    assert_eq!(asks(&host), "b-no");
    let back = host.outcall(&["rules", "rollback"]);
    assert_eq!((back.status, asks(&host)), (0, "a-no".to_owned()), "{back}");
}
