//! What other people's HTTP clients make of being looked into: each in the sandbox with the certificates and variables
//! that `outcall run` gives it and nothing else, in HTTP/2 and HTTP/1.1, with the same requests.
#![cfg(test)]

use outcall_tests::fixtures::world::clients;
use outcall_tests::fixtures::{Outcall, Ran, World};

const RULES: &str = r#"
version: "1"
rules:
  - id: no-secret
    condition: http.path.startsWith("/secret")
    action: block
  - id: read
    condition: http.host == "modern.test" && http.method in ["GET", "HEAD"]
    action: allow
    egress:
      mode: intercept
  - id: marked
    condition: http.host == "modern.test" && http.method == "POST" && "x-mark" in http.headers
    action: allow
    egress:
      mode: intercept
  - id: said
    condition: http.host == "modern.test" && http.method == "PUT" && http.body != null && http.body.contains("please")
    action: allow
    egress:
      mode: intercept
      match_body: true
"#;

/// One request and what is to come of it.
struct Asked {
    method: &'static str,
    path: &'static str,
    mark: bool,
    body: &'static str,
    /// The rule that blocks it, or nothing.
    blocked: Option<&'static str>,
}

const fn asked(method: &'static str, path: &'static str, blocked: Option<&'static str>) -> Asked {
    Asked { method, path, mark: false, body: "", blocked }
}

/// Allowed, and refused by path, by method, by a header that is missing and by what the body says.
const ALL: &[Asked] = &[
    asked("GET", "/read?q=1", None),
    asked("GET", "/secret/1", Some("no-secret")),
    asked("DELETE", "/read", Some("default")),
    Asked { mark: true, body: "x", ..asked("POST", "/marked", None) },
    Asked { body: "x", ..asked("POST", "/bare", Some("default")) },
    Asked { body: "yes please", ..asked("PUT", "/said", None) },
    Asked { body: "now", ..asked("PUT", "/unsaid", Some("default")) },
    asked("GET", "/last", None),
];

/// The requests as JSON, for programs.
fn requests() -> String {
    let list: Vec<_> = ALL
        .iter()
        .map(|one| serde_json::json!({ "method": one.method, "path": one.path, "mark": one.mark, "body": one.body }))
        .collect();
    serde_json::Value::from(list).to_string()
}

/// Asserts that a client, which says `STATUS PROTOCOL REASON` of each request, met with what was to be, and that the
/// server saw what was allowed and nothing else.
#[track_caller]
fn check(world: &mut World, ran: &Ran, protocol: &str) {
    let said: Vec<&str> = ran.stdout.lines().collect();
    let expected: Vec<String> = ALL
        .iter()
        .map(|one| one.blocked.map_or(format!("200 {protocol} -"), |rule| format!("403 {protocol} {rule}")))
        .collect();
    assert_eq!(said, expected, "{ran}");
    // Some clients name the port, and what they say is passed on.
    let arrived = world.arrived().into_iter().map(|line| line.replace("test:443", "test"));
    let arrived: Vec<String> = arrived.filter(|line| !line.starts_with("tls ")).collect();
    let passed: Vec<String> = ALL
        .iter()
        .filter(|one| one.blocked.is_none())
        .map(|one| format!("{} {} modern.test", one.method, one.path))
        .collect();
    assert_eq!(arrived, passed, "{ran}");
    let refusals: Vec<&str> = ran.refusals().into_iter().filter_map(|record| record["rule"].as_str()).collect();
    let blocked: Vec<&str> = ALL.iter().filter_map(|one| one.blocked).collect();
    assert_eq!(refusals, blocked, "{ran}");
}

/// Runs a program in a world of its own; `{requests}` in it are the requests.
fn run(words: &[&str], program: &str, protocol: &str) {
    let mut world = World::new();
    let program = program.replace("{requests}", &requests());
    let node_path = clients().join("node_modules");
    let words: Vec<&str> = words.iter().copied().chain([program.as_str()]).collect();
    let ran = Outcall::new(&world, RULES).env("NODE_PATH", node_path.to_str().unwrap()).run(&words);
    check(&mut world, &ran, protocol);
}

fn python(program: &str, protocol: &str) {
    let python = clients().join("python/bin/python");
    let program = program.replace(
        "{each}",
        "for one in json.loads('''{requests}'''):
    headers = {'x-mark': '1'} if one['mark'] else {}
    body = one['body'].encode() or None",
    );
    run(&[python.to_str().unwrap(), "-I", "-c"], &program, protocol);
}

fn node(program: &str, protocol: &str) {
    run(&["node", "-e"], program, protocol);
}

#[test]
fn curl_in_both_protocols_and_both_ways() {
    for (option, protocol) in [("--http2", "2"), ("--http1.1", "1.1")] {
        for way in ["", "--noproxy '*'"] {
            let mut world = World::new();
            let each: Vec<String> = ALL
                .iter()
                .map(|one| {
                    let mark = if one.mark { "-H 'X-Mark: 1'" } else { "" };
                    let body = if one.body.is_empty() { String::new() } else { format!("-d '{}'", one.body) };
                    format!("-X {} {mark} {body} 'https://modern.test{}'", one.method, one.path)
                })
                .map(|request| format!("c {request}"))
                .collect();
            let script = format!(
                "c() {{ curl {option} {way} -sS --suppress-connect-headers -o /dev/null -D head -w '%{{http_code}} %{{http_version}} ' \"$@\"
                   reason=$(grep -i '^x-outcall-block-reason:' head | tr -d '\\r' | cut -d' ' -f2); echo \"${{reason:--}}\"; }}
                 cd \"$(mktemp -d)\"; {}",
                each.join("\n")
            );
            let ran = Outcall::new(&world, RULES).sh(&script);
            check(&mut world, &ran, protocol);
        }
    }
}

#[test]
fn python_httpx_in_both_protocols() {
    for (option, protocol) in [("http2=True", "HTTP/2"), ("http2=False", "HTTP/1.1")] {
        let program = format!(
            "import httpx, json
client = httpx.Client({option})
{{each}}
    answer = client.request(one['method'], 'https://modern.test' + one['path'], headers=headers, content=body)
    print(answer.status_code, answer.http_version, answer.headers.get('x-outcall-block-reason', '-'))"
        );
        python(&program, protocol);
    }
}

#[test]
fn python_httpx_past_the_proxy_in_http_2() {
    python(
        "import httpx, json, os
client = httpx.Client(http2=True, mounts={'all://': httpx.HTTPTransport(http2=True)})
{each}
    answer = client.request(one['method'], 'https://modern.test' + one['path'], headers=headers, content=body)
    print(answer.status_code, answer.http_version, answer.headers.get('x-outcall-block-reason', '-'))",
        "HTTP/2",
    );
}

#[test]
fn python_requests() {
    python(
        "import requests, json
session = requests.Session()
{each}
    answer = session.request(one['method'], 'https://modern.test' + one['path'], headers=headers, data=body)
    print(answer.status_code, answer.raw.version, answer.headers.get('x-outcall-block-reason', '-'))",
        "11",
    );
}

#[test]
fn nodes_own_http2() {
    node(
        "const session = require('http2').connect('https://modern.test');
const ask = one => new Promise((done, failed) => {
  const stream = session.request({ ':method': one.method, ':path': one.path, ...(one.mark ? { 'x-mark': '1' } : {}) }, { endStream: !one.body });
  stream.on('response', head => console.log(head[':status'], session.alpnProtocol, head['x-outcall-block-reason'] ?? '-'));
  stream.on('error', failed).on('end', done).resume();
  if (one.body) stream.end(one.body);
});
(async () => { for (const one of {requests}) await ask(one); session.close(); })();",
        "h2",
    );
}

#[test]
fn nodes_own_fetch_and_undici_in_http_2() {
    let program = |options: &str| {
        format!(
            "const undici = require('undici');
const agent = {options};
(async () => {{ for (const one of {{requests}}) {{
  const answer = await (agent ? undici.fetch : fetch)('https://modern.test' + one.path, {{ method: one.method, body: one.body || undefined,
    headers: one.mark ? {{ 'x-mark': '1' }} : {{}}, dispatcher: agent }});
  await answer.text();
  console.log(answer.status, 'fetch', answer.headers.get('x-outcall-block-reason') ?? '-');
}} }})();"
        )
    };
    node(&program("undefined"), "fetch");
    node(&program("new undici.Agent({ allowH2: true })"), "fetch");
}

#[test]
fn nghttp_asks_all_at_once_and_each_stream_is_judged_by_itself() {
    let mut world = World::new();
    let paths = ["/1", "/secret/2", "/3", "/secret/4", "/5", "/bytes/300000"];
    let urls: Vec<String> = paths.iter().map(|path| format!("https://modern.test{path}")).collect();
    // A certificate that it cannot verify makes it warn, in a line of its own.
    let ran = Outcall::new(&world, RULES).sh(&format!("nghttp -v {} 2>&1 | grep -aiE ':status|verif'", urls.join(" ")));
    let count = |status: &str| ran.stdout.matches(&format!(":status: {status}")).count();
    assert_eq!((count("200"), count("403"), ran.stdout.lines().count()), (4, 2, 6), "{ran}");
    let mut arrived = world.arrived();
    arrived.sort();
    let expected = ["GET /1 modern.test", "GET /3 modern.test", "GET /5 modern.test", "GET /bytes/300000 modern.test"];
    assert_eq!(arrived[..4], expected, "{ran}");
    assert_eq!(arrived[4..], ["tls modern.test"], "one connection carries all");
}
