//! Plain HTTP end to end, explicit and transparent: curl and raw sockets inside the sandbox, and the upstream's own log.
#![cfg(test)]

use outcall_tests::fixtures::{Event, Outcall, Ran, World, zone};

const RULES: &str = r#"
version: "1"
rules:
  - id: block-secret
    condition: http.host == "allowed.test" && http.path.startsWith("/ok/secret")
    action: block
    priority: 10
  - id: block-evil
    condition: http.host == "evil.test"
    action: block
    priority: 10
  - id: allow-read
    condition: http.host in ["allowed.test", "only4.test", "only6.test"] && http.method in ["GET", "HEAD"] && http.path.startsWith("/ok")
    action: allow
    egress:
      ports: [80]
  - id: allow-upload
    condition: http.host == "allowed.test" && http.method == "POST" && http.path == "/ok/upload" && "x-token" in http.headers && http.headers["x-token"] == "right"
    action: allow
    egress:
      ports: [80]
  - id: allow-shapes
    condition: http.host == "shapes.wild.test" && (http.path.startsWith("/bytes/") || http.path in ["/chunked", "/until-close"] || http.path.startsWith("/status/"))
    action: allow
    egress:
      ports: [80]
  - id: allow-public-name
    condition: http.host in ["private.test", "metadata.test", "loopback.test", "mixed.test", "rebind.test"]
    action: allow
  - id: allow-down
    condition: http.host in ["down.test", "servfail.test", "nowhere.test"]
    action: allow
"#;

/// Both ways to the proxy: with the proxy variables, and past them.
const WAYS: [&str; 2] = ["", "--noproxy '*'"];

#[track_caller]
fn sh(world: &World, script: &str) -> Ran {
    Outcall::new(world, RULES).sh(script)
}

#[track_caller]
fn check_refused(ran: &Ran, rule: &str) {
    let lower = ran.stdout.to_ascii_lowercase();
    assert!(lower.starts_with("http/1.1 403 "), "{ran}");
    assert!(lower.contains(&format!("x-outcall-block-reason: {rule}\r\n")), "{ran}");
    assert!(lower.contains("content-type: text/plain"), "{ran}");
    let body = format!("Blocked by outcall: {rule}");
    let length = lower.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next());
    let (_, sent) = ran.stdout.split_once("\r\n\r\n").unwrap_or_default();
    assert_eq!(sent.trim_end(), body, "{ran}");
    assert_eq!(length, Some(sent.len().to_string().as_str()), "{ran}");
}

#[test]
fn an_allowed_request_arrives_byte_for_byte() {
    for way in WAYS {
        let mut world = World::new();
        let ran = sh(
            &world,
            &format!("curl {way} -sS -H 'X-Odd:  two  spaces ' -A agent 'http://allowed.test/ok/a%2Fb//c?q=1&r=%20'"),
        );
        assert!(ran.stdout.contains("saw GET /ok/a%2Fb//c?q=1&r=%20 for allowed.test with 0 bytes"), "{ran}");
        assert_eq!(ran.refusals().len(), 0, "{ran}");
        assert_eq!(world.arrived(), ["GET /ok/a%2Fb//c?q=1&r=%20 allowed.test"]);
        let events = world.events();
        let head = events.iter().find_map(|event| if let Event::Http { head, .. } = event { Some(head) } else { None });
        let head = head.unwrap().to_ascii_lowercase();
        assert!(head.contains("x-odd:"), "{head}");
        assert!(!head.contains("proxy-"), "what is meant for the proxy ends there: {head}");
    }
}

#[test]
fn both_families_work_and_are_refused_alike() {
    for way in WAYS {
        for (name, address) in [("only4.test", zone::CDN_V4.to_string()), ("only6.test", format!("[{}]", zone::CDN_V6))]
        {
            let mut world = World::new();
            let ran = sh(&world, &format!("curl {way} -sS http://{name}/ok"));
            assert!(ran.stdout.contains(&format!("upstream {address}:80 saw GET /ok for {name}")), "{ran}");
            let ran = sh(&world, &format!("curl {way} -sS -i http://{name}/no"));
            check_refused(&ran, "default");
            ran.check_one_refusal("http", "default", "no_rule_allows");
            assert_eq!(world.arrived(), [format!("GET /ok {name}")]);
        }
    }
}

#[test]
fn refused_by_path_method_header_and_host() {
    for way in WAYS {
        for (arguments, rule, reason) in [
            ("http://allowed.test/other", "default", "no_rule_allows"),
            ("http://allowed.test/ok/secret/x", "block-secret", "blocked_by_rule"),
            ("-X DELETE http://allowed.test/ok", "default", "no_rule_allows"),
            ("-d x http://allowed.test/ok/upload", "default", "no_rule_allows"),
            ("-d x -H 'X-Token: wrong' http://allowed.test/ok/upload", "default", "no_rule_allows"),
        ] {
            let mut world = World::new();
            let ran = sh(&world, &format!("curl {way} -sS -i {arguments}"));
            check_refused(&ran, rule);
            ran.check_one_refusal("http", rule, reason);
            assert_eq!(world.arrived(), Vec::<String>::new(), "{arguments}");
        }
    }
    let mut world = World::new();
    let ran = sh(&world, "curl -sS -d body -H 'X-Token: right' http://allowed.test/ok/upload");
    assert!(ran.stdout.contains("saw POST /ok/upload for allowed.test with 4 bytes"), "{ran}");
    assert_eq!(world.arrived(), ["POST /ok/upload allowed.test"]);
}

/// The shared front: the address of an allowed name does not lead to its neighbour.
#[test]
fn the_neighbour_on_a_shared_front_is_not_reached() {
    let mut world = World::new();
    // Transparent: the address is the allowed one, the host is the neighbour.
    let ran = sh(&world, "curl --noproxy '*' -sS -i -H 'Host: evil.test' http://allowed.test/ok");
    check_refused(&ran, "block-evil");
    ran.check_one_refusal("http", "block-evil", "blocked_by_rule");
    // Explicit: two names in one request.
    let ran = sh(&world, "curl -sS -i -H 'Host: evil.test' http://allowed.test/ok");
    assert!(ran.stdout.starts_with("HTTP/1.1 421 ") || ran.stdout.starts_with("HTTP/1.1 400 "), "{ran}");
    assert_eq!(ran.refusals().len(), 1, "{ran}");
    // The address alone, which no name of this agent's stands for.
    let ran = sh(&world, &format!("curl --noproxy '*' -sS -i -H 'Host: evil.test' http://{}/ok", zone::CDN_V4));
    ran.check_one_refusal("network", "default", "raw_traffic");
    assert_eq!(world.arrived(), Vec::<String>::new());
    world.check_only_reached(&[]);
}

#[test]
fn the_address_that_is_dialled_is_the_one_that_was_resolved() {
    let mut world = World::new();
    let resolve = format!("--noproxy '*' --resolve allowed.test:80:{}", zone::OTHER_V4);
    let ran = sh(&world, &format!("curl {resolve} -sS http://allowed.test/ok"));
    assert!(!ran.stdout.contains(&format!("upstream {}", zone::OTHER_V4)), "{ran}");
    world.check_only_reached(&[(zone::CDN_V4.into(), 80), (zone::CDN_V6.into(), 80)]);
}

#[test]
fn refused_by_port() {
    for way in WAYS {
        let mut world = World::new();
        let ran = sh(&world, &format!("curl {way} -sS -i http://allowed.test:8080/ok"));
        check_refused(&ran, "allow-read");
        ran.check_one_refusal("http", "allow-read", "port_not_open");
        world.check_only_reached(&[]);
    }
}

#[test]
fn private_and_special_addresses_are_not_reached_through_a_public_name() {
    for name in ["private.test", "metadata.test", "loopback.test"] {
        let mut world = World::new();
        let ran = sh(&world, &format!("curl -sS -i http://{name}/x"));
        assert!(ran.stdout.starts_with("HTTP/1.1 403 "), "{ran}");
        ran.check_one_refusal("http", "allow-public-name", "private_address");
        // Past the proxy variables, at an address that was resolved for another name.
        let by_hand = format!("--noproxy '*' --resolve {name}:80:{}", zone::CDN_V4);
        let ran = sh(&world, &format!("dig +short mixed.test A; curl {by_hand} -sS -i http://{name}/x"));
        assert!(ran.stdout.contains("HTTP/1.1 403 "), "{ran}");
        ran.check_one_refusal("http", "allow-public-name", "private_address");
        world.check_only_reached(&[]);
    }
    let mut world = World::new();
    let ran =
        sh(&world, "curl -sS http://mixed.test/x; curl -sS http://rebind.test/x; curl -sS -i http://rebind.test/y");
    assert!(ran.stdout.contains("saw GET /x for mixed.test"), "{ran}");
    world.check_only_reached(&[(zone::CDN_V4.into(), 80), (zone::CDN_V6.into(), 80)]);
}

#[test]
fn each_request_of_a_connection_is_judged() {
    for way in WAYS {
        let mut world = World::new();
        let ran = sh(
            &world,
            &format!("curl {way} -sS http://allowed.test/ok/1 http://allowed.test/no http://allowed.test/ok/2"),
        );
        assert!(ran.stdout.contains("/ok/1") && ran.stdout.contains("/ok/2"), "{ran}");
        assert!(ran.stdout.contains("Blocked by outcall: default"), "{ran}");
        ran.check_one_refusal("http", "default", "no_rule_allows");
        assert_eq!(world.arrived(), ["GET /ok/1 allowed.test", "GET /ok/2 allowed.test"]);
    }
}

const PIPELINE: &str = r#"
import os, socket, urllib.parse
def connect():
    if os.environ.get("WAY") == "explicit":
        proxy = urllib.parse.urlparse(os.environ["http_proxy"])
        return socket.create_connection((proxy.hostname, proxy.port), 10), "http://allowed.test"
    return socket.create_connection(("allowed.test", 80), 10), ""
def talk(requests):
    s, prefix = connect()
    s.settimeout(10)
    s.sendall("".join(f"{line.replace(' /', ' ' + prefix + '/', 1)} HTTP/1.1\r\nHost: allowed.test\r\n{rest}\r\n" for line, rest in requests).encode())
    out = b""
    try:
        while chunk := s.recv(65536):
            out += chunk
    except OSError as error:
        out += str(error).encode()
    return out.decode("latin-1")
"#;

#[test]
fn pipelined_requests_are_judged_one_by_one() {
    for way in ["explicit", "transparent"] {
        let mut world = World::new();
        let program = format!(
            "{PIPELINE}\nprint(talk([('GET /ok/1', ''), ('GET /no', ''), ('GET /ok/2', 'Connection: close\\r\\n')]))"
        );
        let ran = Outcall::new(&world, RULES).env("WAY", way).python(&program);
        let places: Vec<Option<usize>> =
            ["saw GET /ok/1", "Blocked by outcall", "saw GET /ok/2"].iter().map(|mark| ran.stdout.find(mark)).collect();
        // In order, or the connection ends with the refusal; never a request past a refused one unjudged.
        assert!(places[0].is_some() && places[1].is_some() && places[0] < places[1], "{ran}");
        assert!(places[2].is_none() || places[1] < places[2], "{ran}");
        let arrived = world.arrived();
        assert!(!arrived.iter().any(|line| line.contains("/no")), "{arrived:?}");
    }
}

#[test]
fn requests_with_two_readings_are_refused() {
    // Each with the request line's rest and headers as they stand on the wire.
    let cases: &[(&str, &str)] = &[
        ("two hosts", "GET /ok HTTP/1.1\\r\\nHost: allowed.test\\r\\nHost: evil.test\\r\\n\\r\\n"),
        ("the same host twice", "GET /ok HTTP/1.1\\r\\nHost: allowed.test\\r\\nHost: allowed.test\\r\\n\\r\\n"),
        ("no host", "GET /ok HTTP/1.1\\r\\n\\r\\n"),
        (
            "length and chunked",
            "POST /ok/upload HTTP/1.1\\r\\nHost: allowed.test\\r\\nX-Token: right\\r\\nContent-Length: 4\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\n",
        ),
        (
            "two lengths",
            "POST /ok/upload HTTP/1.1\\r\\nHost: allowed.test\\r\\nX-Token: right\\r\\nContent-Length: 4\\r\\nContent-Length: 5\\r\\n\\r\\nabcde",
        ),
        (
            "a length with a sign",
            "POST /ok/upload HTTP/1.1\\r\\nHost: allowed.test\\r\\nX-Token: right\\r\\nContent-Length: +4\\r\\n\\r\\nabcd",
        ),
        (
            "chunked twice",
            "POST /ok/upload HTTP/1.1\\r\\nHost: allowed.test\\r\\nX-Token: right\\r\\nTransfer-Encoding: chunked, chunked\\r\\n\\r\\n0\\r\\n\\r\\n",
        ),
        (
            "another coding",
            "POST /ok/upload HTTP/1.1\\r\\nHost: allowed.test\\r\\nX-Token: right\\r\\nTransfer-Encoding: gzip\\r\\n\\r\\n0\\r\\n\\r\\n",
        ),
        ("bare line feeds", "GET /ok HTTP/1.1\\nHost: allowed.test\\n\\n"),
        ("a folded header", "GET /ok HTTP/1.1\\r\\nHost: allowed.test\\r\\nX-A: 1\\r\\n two\\r\\n\\r\\n"),
        ("a space before the colon", "GET /ok HTTP/1.1\\r\\nHost : allowed.test\\r\\n\\r\\n"),
        ("dot segments", "GET /ok/../no HTTP/1.1\\r\\nHost: allowed.test\\r\\n\\r\\n"),
        ("escaped dot segments", "GET /ok/%2e%2e/no HTTP/1.1\\r\\nHost: allowed.test\\r\\n\\r\\n"),
        ("a backslash", "GET /ok\\\\no HTTP/1.1\\r\\nHost: allowed.test\\r\\n\\r\\n"),
        ("a NUL escape", "GET /ok%00 HTTP/1.1\\r\\nHost: allowed.test\\r\\n\\r\\n"),
        ("a broken escape", "GET /ok%zz HTTP/1.1\\r\\nHost: allowed.test\\r\\n\\r\\n"),
        ("a fragment", "GET /ok#x HTTP/1.1\\r\\nHost: allowed.test\\r\\n\\r\\n"),
        ("userinfo in the host", "GET /ok HTTP/1.1\\r\\nHost: allowed.test@evil.test\\r\\n\\r\\n"),
        ("a number as host", "GET /ok HTTP/1.1\\r\\nHost: 2130706433\\r\\n\\r\\n"),
        ("an escape in the host", "GET /ok HTTP/1.1\\r\\nHost: allowed%2etest\\r\\n\\r\\n"),
        ("absolute against host", "GET http://allowed.test/ok HTTP/1.1\\r\\nHost: evil.test\\r\\n\\r\\n"),
        ("two spaces", "GET  /ok HTTP/1.1\\r\\nHost: allowed.test\\r\\n\\r\\n"),
        ("a control character in a header", "GET /ok HTTP/1.1\\r\\nHost: allowed.test\\r\\nX-A: a\\x01b\\r\\n\\r\\n"),
        ("a bare carriage return", "GET /ok HTTP/1.1\\r\\nHost: allowed.test\\r\\nX-A: a\\rb\\r\\n\\r\\n"),
    ];
    let mut world = World::new();
    let program: String = cases
        .iter()
        .map(|(name, bytes)| {
            format!(
                "s = socket.create_connection(('allowed.test', 80), 10); s.settimeout(10); s.sendall(b\"{}\")\n\
                 try: answer = s.recv(4096)\n\
                 except OSError: answer = b''\n\
                 print(answer[9:12].decode(), \"{name}\", sep='|'); s.close()\n",
                bytes.replace('"', "\\\"")
            )
        })
        .collect();
    let ran = Outcall::new(&world, RULES).python(&format!("import socket\n{program}"));
    let answers: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(answers.len(), cases.len(), "{ran}");
    for answer in answers {
        assert!(answer.starts_with("400|") || answer.starts_with("421|"), "{answer}\n{ran}");
    }
    assert_eq!(ran.refusals().len(), cases.len(), "one record each\n{ran}");
    assert_eq!(world.arrived(), Vec::<String>::new());
}

#[test]
fn answers_of_every_shape_come_back_whole() {
    let world = World::new();
    for way in WAYS {
        let ran = sh(
            &world,
            &format!(
                "curl {way} -sS http://shapes.wild.test/bytes/3000000 | wc -c; \
                 curl {way} -sS http://shapes.wild.test/chunked; \
                 curl {way} -sS http://shapes.wild.test/until-close; \
                 curl {way} -sS -o /dev/null -w '%{{http_code}}\\n' http://shapes.wild.test/status/204; \
                 curl {way} -sS -o /dev/null -w '%{{http_code}}\\n' http://shapes.wild.test/status/503; \
                 curl {way} -sS -I http://allowed.test/ok | head -1"
            ),
        );
        assert!(ran.stdout.starts_with("3000000\n"), "{ran}");
        for mark in ["saw GET /chunked for", "saw GET /until-close for", "\n204\n", "\n503\n", "HTTP/1.1 200 OK"] {
            assert!(ran.stdout.contains(mark), "{mark}\n{ran}");
        }
    }
}

#[test]
fn large_and_chunked_uploads_arrive_whole() {
    let mut world = World::new();
    let ran = sh(
        &world,
        "head -c 2000000 /dev/zero | tr '\\0' y >/tmp/big.$$; \
         curl -sS -H 'X-Token: right' --data-binary @/tmp/big.$$ http://allowed.test/ok/upload; \
         curl -sS -H 'X-Token: right' -H 'Transfer-Encoding: chunked' --data-binary @/tmp/big.$$ http://allowed.test/ok/upload; \
         rm /tmp/big.$$",
    );
    assert_eq!(ran.stdout.matches("with 2000000 bytes").count(), 2, "{ran}");
    assert_eq!(world.arrived().len(), 2);
}

#[test]
fn an_upstream_that_is_down_is_a_502_and_no_refusal_of_the_policy() {
    let mut world = World::new();
    for name in ["down.test", "servfail.test", "nowhere.test"] {
        let ran = sh(&world, &format!("curl -sS -i http://{name}/"));
        assert!(ran.stdout.starts_with("HTTP/1.1 502 "), "{ran}");
    }
    world.check_only_reached(&[(zone::DOWN_V4.into(), 80)]);
}

#[test]
fn python_and_wget_like_clients_see_the_reason() {
    let world = World::new();
    let program = r#"
import urllib.request, urllib.error
print(urllib.request.urlopen("http://allowed.test/ok", timeout=10).read().decode(), end="")
try:
    urllib.request.urlopen("http://allowed.test/no", timeout=10)
except urllib.error.HTTPError as error:
    print(error.code, error.headers["X-Outcall-Block-Reason"], error.read().decode().strip())
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
print(opener.open("http://allowed.test/ok", timeout=10).read().decode(), end="")
"#;
    let ran = Outcall::new(&world, RULES).python(program);
    assert_eq!(ran.stdout.matches("saw GET /ok for allowed.test").count(), 2, "{ran}");
    assert!(ran.stdout.contains("403 default Blocked by outcall: default"), "{ran}");
}
