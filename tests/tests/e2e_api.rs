//! What an operator asks of a run, over its socket: every command says what the API says, and both say what happened.
#![cfg(test)]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Output, Stdio};

use outcall_schema::api::{Behind, ENDPOINTS, Gives, Method, Takes};
use outcall_tests::fixtures::{Outcall, World};
use serde_json::{Value, json};

const RULES: &str = r#"version: "1"
rules:
  - id: no-secret
    description: "not this"
    condition: http.path.startsWith("/secret")
    action: block
  - id: web
    condition: http.host in ["allowed.test", "only4.test"]
    action: allow
"#;

/// Two requests that pass, one that a rule refuses, one name that nobody allows. Then it waits.
const SCRIPT: &str = "
    c() { curl -sS -o /dev/null --noproxy '*' \"$@\"; }
    c http://allowed.test/one; c http://only4.test/two; c http://allowed.test/secret
    dig +short +tries=1 evil.test > /dev/null
    echo done; read go; c http://allowed.test/three; echo done; read go";

struct Running {
    child: Child,
    orders: ChildStdin,
    said: BufReader<ChildStdout>,
    socket: PathBuf,
}

impl Running {
    fn start(world: &World) -> Running {
        let outcall = Outcall::new(world, RULES).agent("ci");
        let log = outcall.log();
        let socket = log.with_file_name("s");
        let mut command = outcall.options(&["--socket", socket.to_str().unwrap()]).command(&log);
        command.args(["sh", "-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let (orders, said) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut running = Running { child, orders, said, socket };
        running.until_done();
        running
    }

    fn until_done(&mut self) {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        assert_eq!(line, "done\n");
    }

    fn go_on(&mut self) {
        writeln!(self.orders, "go").unwrap();
        self.until_done();
    }

    /// The data of an endpoint, as a client of the API gets it.
    fn api(&self, path: &str) -> Value {
        let (status, body) = self.http(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str::<Value>(&body).unwrap()["data"].clone()
    }

    fn http(&self, request: &str) -> (u16, String) {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(30))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.orders.write_all(b"go\n");
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn ask(world: &World, socket: &Path, arguments: &[&str], status: i32) -> (String, String) {
    let mut command = world.command("outcall", 30);
    let Output { status: ended, stdout, stderr } =
        command.arg("--socket").arg(socket).args(arguments).output().unwrap();
    let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert_eq!(ended.code(), Some(status), "{arguments:?}\n{stdout}\n{stderr}");
    (stdout, stderr)
}

#[test]
fn commands_say_what_the_api_says_and_that_is_what_happened() {
    let world = World::new();
    let mut running = Running::start(&world);
    let socket = running.socket.clone();
    let human = |arguments: &[&str]| ask(&world, &socket, arguments, 0).0;
    for (arguments, path) in [
        (["rules", "list"], "/api/v1/rules"),
        (["dns", "status"], "/api/v1/dns"),
        (["dns", "cache"], "/api/v1/dns/cache"),
        (["proxy", "status"], "/api/v1/proxy"),
        (["proxy", "intercept"], "/api/v1/proxy/intercept"),
        (["netns", "list"], "/api/v1/agents"),
    ] {
        let said: Value = serde_json::from_str(&human(&[arguments[0], arguments[1], "--json"])).unwrap();
        assert_eq!(said, running.api(path), "{arguments:?}");
    }
    let rules = running.api("/api/v1/rules");
    let shown: Vec<(&str, u64)> = rules
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| (rule["id"].as_str().unwrap(), rule["hits"].as_u64().unwrap()))
        .collect();
    assert_eq!(shown, [("no-secret", 1), ("web", 2)]);
    let list = human(&["rules", "list"]);
    assert!(list.lines().any(|line| line.starts_with("2     100") && line.contains("allow   web")), "{list}");
    let show = human(&["rules", "show", "no-secret"]);
    assert!(show.contains("not this") && show.contains("1: 0 allowed, 1 blocked"), "{show}");
    assert!(ask(&world, &socket, &["rules", "show", "nobody"], 6).1.contains("no such rule"));
    assert!(ask(&world, &socket, &["rules", "show", "../rules"], 6).1.contains("no rule's id"));
    let proxy = running.api("/api/v1/proxy");
    assert_eq!((&proxy["total_requests"], &proxy["total_blocked"]), (&json!(3), &json!(1)));
    let dns = running.api("/api/v1/dns");
    assert_eq!(dns["queries_blocked"], 1, "{dns}");
    assert_eq!(dns["upstreams"], json!([format!("{}:53", "93.184.216.53")]));
    let agents = running.api("/api/v1/agents");
    assert_eq!(
        (&agents[0]["name"], &agents[0]["kind"], &agents[0]["allowed"]),
        (&json!("ci"), &json!("sandbox"), &json!(2))
    );
    assert_eq!(agents[0]["blocked"], 2);
    // The cache holds what was fetched, until it is let go of.
    let entries = human(&["dns", "cache", "--entries"]);
    assert!(entries.contains("allowed.test") && !entries.contains("evil.test"), "{entries}");
    let count = running.api("/api/v1/dns/cache")["entries"].as_u64().unwrap();
    assert_eq!(human(&["dns", "flush"]), format!("Evicted {count} answer(s).\n"));
    assert_eq!(running.api("/api/v1/dns/cache")["entries"], 0);
    let metrics = human(&["metrics"]);
    assert!(metrics.contains("outcall_rule_decisions_total{rule=\"web\",decision=\"allow\"} 2\n"), "{metrics}");
    assert!(metrics.contains("outcall_agent_decisions_total{agent=\"ci\",decision=\"block\"} 2\n"), "{metrics}");
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
    let top = human(&["top", "--once"]);
    assert!(top.contains("  ci\n") && top.contains("  web\n") && top.contains("  dns\n"), "{top}");
    let frame: Value = serde_json::from_str(&human(&["top", "--json"])).unwrap();
    assert_eq!((&frame["agents"][0]["name"], &frame["agents"][0]["allowed"]), (&json!("ci"), &json!(2)));
    running.go_on();
    assert_eq!(running.api("/api/v1/rule/web")["hits"], 3);
}

#[test]
fn names_and_requests_are_tried_without_being_sent() {
    let mut world = World::new();
    let running = Running::start(&world);
    let socket = running.socket.clone();
    let before = world.arrived();
    let tested = ask(&world, &socket, &["dns", "test", "EVIL.test"], 1).0;
    assert!(
        tested.starts_with("evil.test A does not exist for this agent") && tested.contains("no_rule_allows"),
        "{tested}"
    );
    let tested = ask(&world, &socket, &["dns", "test", "allowed.test", "--agent", "ci"], 0).0;
    assert!(tested.starts_with("allowed.test A resolves\n") && tested.contains("kept: NOERROR"), "{tested}");
    let tested = ask(&world, &socket, &["dns", "test", "only4.test", "--type", "AAAA", "--json"], 0).0;
    let tested: Value = serde_json::from_str(&tested).unwrap();
    assert_eq!((&tested["verdict"], &tested["implied"]), (&json!("resolve"), &json!(true)));
    let (_, said) = ask(&world, &socket, &["dns", "test", "no name"], 1);
    assert!(said.contains("no name"), "{said}");
    let body = r#"{"context":{"http":{"host":"allowed.test","path":"/secret/x","method":"GET","scheme":"http"},"agent":{"name":"ci"}}}"#;
    let head = "POST /api/v1/rule/evaluate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length:";
    let (status, answer) = running.http(&format!("{head} {}\r\n\r\n{body}", body.len()));
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(
        (status, &answer["data"]["decision"], &answer["data"]["matched_rule"]),
        (200, &json!("block"), &json!("no-secret"))
    );
    assert_eq!((&answer["data"]["file"], &answer["data"]["line"]), (&json!("policy.yaml"), &json!(3)));
    assert_eq!(world.arrived(), before, "nothing was sent");
    // With leave to ask, the one question goes out.
    ask(&world, &socket, &["dns", "flush"], 0);
    let tested = ask(&world, &socket, &["dns", "test", "allowed.test", "--resolve"], 0).0;
    assert!(tested.contains("fetched: NOERROR") && tested.contains("93.184.216.34"), "{tested}");
    let tested = ask(&world, &socket, &["dns", "test", "evil.test", "--resolve"], 1).0;
    assert!(tested.contains("NXDOMAIN"), "{tested}");
}

#[test]
fn events_are_followed_while_they_happen() {
    let world = World::new();
    let mut running = Running::start(&world);
    let mut command = world.command("outcall", 30);
    command.arg("--socket").arg(&running.socket).args(["events", "--count", "1", "--json"]);
    let mut following = command.stdout(Stdio::piped()).spawn().unwrap();
    // It follows once the API says so.
    while !running.metric("outcall_event_followers 1\n") {}
    running.go_on();
    let mut line = String::new();
    BufReader::new(following.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let record: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&record["decision"], &record["agent"]), (&json!("allow"), &json!("ci")), "{record}");
    assert!(following.wait().unwrap().success());
    while !running.metric("outcall_event_followers 0\n") {}
}

impl Running {
    fn metric(&self, line: &str) -> bool {
        self.http("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").1.contains(line)
    }
}

#[test]
fn what_takes_a_host_says_that_there_is_none() {
    let world = World::new();
    let running = Running::start(&world);
    for arguments in [
        ["bridge", "status"].as_slice(),
        &["bridge", "up"],
        &["bridge", "down"],
        &["rules", "rollback"],
        &["rules", "reload", "--artifacts"],
        &["netns", "attach", "a"],
        &["netns", "detach", "a"],
    ] {
        let (_, said) = ask(&world, &running.socket, arguments, 6);
        assert!(said.contains("no host behind this socket"), "{arguments:?}: {said}");
    }
    for row in ENDPOINTS.iter().filter(|row| row.behind == Behind::Host && row.takes == Takes::Nothing && !row.named())
    {
        let (status, _) = running.http(&format!("{} {} HTTP/1.1\r\nHost: x\r\n\r\n", row.method.name(), row.path));
        assert_eq!(status, 404, "{}", row.path);
    }
    let (_, said) = ask(&world, Path::new("nowhere.sock"), &["rules", "list"], 1);
    assert_eq!(said, "outcall: cannot connect to outcalld at nowhere.sock: is it running?\n");
    assert!(said.len() < 100);
}

/// The body of each answer is what the description says it is.
#[test]
fn answers_are_as_described() {
    let world = World::new();
    let running = Running::start(&world);
    let described: Value =
        serde_json::from_str(&running.http("GET /api/v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n").1).unwrap();
    for row in ENDPOINTS.iter().filter(|row| row.method == Method::Get && row.gives == Gives::Data) {
        let path = row.path_of("web");
        let path = row.flag.map_or(path.clone(), |flag| format!("{path}?{flag}=true"));
        let (status, body) = running.http(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let response = &described["paths"][row.path]["get"]["responses"][status.to_string()];
        let response = response["$ref"]
            .as_str()
            .and_then(|name| described.pointer(name.trim_start_matches('#')))
            .unwrap_or(response);
        let schema = &response["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{path}: {status} is not described");
        let whole = json!({ "allOf": [schema], "components": described["components"] });
        let validator = jsonschema::draft202012::new(&whole).unwrap();
        let body: Value = serde_json::from_str(&body).unwrap();
        let errors: Vec<String> = validator.iter_errors(&body).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{path}: {errors:?}\n{body:#}");
    }
}
