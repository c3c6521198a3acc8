//! Looking inside TLS end to end: real clients in the sandbox that check the certificate they are shown, the internet's
//! servers behind, whose certificates are checked as well.
#![cfg(test)]

use std::path::PathBuf;

use outcall_tests::fixtures::{Outcall, Ran, User, World};
use serde_json::Value;

const RULES: &str = r#"
version: "1"
interception:
  bypass: ["only4.test"]
rules:
  - id: no-secret
    condition: http.path.startsWith("/secret")
    action: block
  - id: read
    condition: http.host in ["allowed.test", "only6.test", "other.test", "only4.test"] && http.method in ["GET", "HEAD"]
    action: allow
    egress:
      mode: intercept
  - id: marked
    condition: http.host == "allowed.test" && http.method == "POST" && "x-mark" in http.headers
    action: allow
    egress:
      mode: intercept
  - id: said
    condition: http.host == "allowed.test" && http.method == "PUT" && http.body != null && http.body.contains("please")
    action: allow
    egress:
      mode: intercept
      match_body: true
  - id: pinned
    condition: http.host == "only4.test"
    action: allow
"#;

/// Both ways to the proxy: with the proxy variables, and past them.
const WAYS: [&str; 2] = ["", "--noproxy '*'"];

#[track_caller]
fn sh(world: &World, script: &str) -> Ran {
    Outcall::new(world, RULES).sh(script)
}

fn reason(ran: &Ran) -> Vec<&str> {
    ran.refusals().into_iter().filter_map(|record| record.get("reason").and_then(Value::as_str)).collect()
}

#[test]
fn requests_are_judged_by_method_path_header_and_body() {
    for way in WAYS {
        let mut world = World::new();
        let ran = sh(
            &world,
            &format!(
                "c() {{ curl {way} -sS -w '%{{http_code}} %{{http_version}} %{{ssl_verify_result}}\\n' \"$@\"; }}
                 c https://allowed.test/path; c -I https://allowed.test/ | tail -1; c https://allowed.test/secret/1
                 c -X DELETE https://allowed.test/; c -H 'X-Mark: 1' -d x https://allowed.test/post; c -d x https://allowed.test/post
                 c -X PUT -d 'yes please' https://allowed.test/put; c -X PUT -d now https://allowed.test/put
                 c https://only6.test/six
                 for words in 'yes please' now; do printf '%s' \"$words\" | gzip | c -X PUT -H 'Content-Encoding: gzip' --data-binary @- https://allowed.test/gzip; done"
            ),
        );
        let lines: Vec<&str> = ran.stdout.lines().collect();
        for (at, expected) in [
            (0, "saw GET /path for allowed.test"),
            (1, "200 1.1 0"),
            (2, "200 1.1 0"),
            (3, "Blocked by outcall: no-secret403 1.1 0"),
            (4, "Blocked by outcall: default403 1.1 0"),
            (5, "saw POST /post for allowed.test with 1 bytes"),
            (6, "200 1.1 0"),
            (7, "Blocked by outcall: default403 1.1 0"),
            (8, "saw PUT /put for allowed.test with 10 bytes"),
            (9, "200 1.1 0"),
            (10, "Blocked by outcall: default403 1.1 0"),
            (11, "saw GET /six for only6.test"),
            (12, "200 1.1 0"),
            (13, "saw PUT /gzip for allowed.test"),
            (15, "Blocked by outcall: default403 1.1 0"),
        ] {
            assert!(lines.get(at).is_some_and(|line| line.contains(expected)), "line {at}: {expected}\n{ran}");
        }
        let requests: Vec<String> = world.arrived().into_iter().filter(|line| !line.starts_with("tls ")).collect();
        let expected = [
            "GET /path allowed.test",
            "HEAD / allowed.test",
            "POST /post allowed.test",
            "PUT /put allowed.test",
            "GET /six only6.test",
            "PUT /gzip allowed.test",
        ];
        assert_eq!(requests, expected);
        assert_eq!(ran.refusals().len(), 5, "{ran}");
        ran.check_record(ran.refusals()[0], "https", "no-secret", "blocked_by_rule");
    }
}

#[test]
fn the_certificate_is_for_the_one_name_and_trusted_by_the_command_alone() {
    let world = World::new();
    let ran = sh(
        &world,
        "for version in -tls1_2 -tls1_3; do
           openssl s_client -connect allowed.test:443 -servername allowed.test -verify_return_error -verify_hostname allowed.test $version -alpn h2,http/1.1 </dev/null 2>&1
         done
         for v in SSL_CERT_FILE REQUESTS_CA_BUNDLE CURL_CA_BUNDLE NODE_EXTRA_CA_CERTS GIT_SSL_CAINFO; do eval echo $v=\\$$v; done",
    );
    assert_eq!(ran.stdout.matches("Verified peername: allowed.test").count(), 2, "{ran}");
    assert_eq!(ran.stdout.matches("ALPN protocol: http/1.1").count(), 2, "{ran}");
    assert!(ran.stdout.contains("Protocol  : TLSv1.2") || ran.stdout.contains("TLSv1.2, Cipher"), "{ran}");
    assert!(!ran.stdout.contains("The test internet's authority"), "{ran}");
    assert_eq!(ran.stdout.matches("=/run/outcall/ca-bundle.pem").count(), 5, "{ran}");
    assert!(!std::path::Path::new("/run/outcall/ca-bundle.pem").exists());
}

#[test]
fn python_node_and_git_go_through() {
    let mut world = World::new();
    let ran = Outcall::new(&world, RULES).python(
        "import urllib.request, urllib.error
print(urllib.request.urlopen('https://allowed.test/py').read().decode())
try:
    urllib.request.urlopen('https://allowed.test/secret')
except urllib.error.HTTPError as error:
    print(error.code, error.headers['X-Outcall-Block-Reason'])",
    );
    assert!(ran.stdout.contains("saw GET /py for allowed.test") && ran.stdout.contains("403 no-secret"), "{ran}");
    let ran = sh(
        &world,
        "node -e \"for (const path of ['/node', '/secret']) require('https').get('https://allowed.test' + path, answer => { console.log(answer.statusCode, path); answer.resume() })\"; git ls-remote https://allowed.test/repo.git 2>&1; true",
    );
    assert!(ran.stdout.contains("200 /node") && ran.stdout.contains("403 /secret"), "{ran}");
    // What the server answers is no repository, but the request arrived whole.
    let arrived = world.arrived();
    assert!(arrived.iter().any(|line| line.starts_with("GET /repo.git/info/refs?service=git-upload-pack")), "{ran}");
}

#[test]
fn names_that_differ_are_refused_wherever_they_differ() {
    let mut world = World::new();
    let ran = sh(&world, "curl -sS -i -H 'Host: evil.test' https://allowed.test/");
    assert!(ran.stdout.contains("HTTP/1.1 421 ") && ran.stdout.contains("host_mismatch"), "{ran}");
    ran.check_one_refusal("https", "default", "host_mismatch");
    for (server_name, expected) in [("-servername evil.test", "host_mismatch"), ("-noservername", "sni_missing")] {
        let ran = sh(
            &world,
            &format!(
                "openssl s_client -proxy \"${{https_proxy#http://}}\" -connect allowed.test:443 {server_name} </dev/null 2>&1; true"
            ),
        );
        assert!(!ran.stdout.contains("BEGIN CERTIFICATE"), "{ran}");
        ran.check_one_refusal("connect", "default", expected);
    }
    // curl offers HTTP/2, so the server was asked whether it speaks it, and nothing else.
    assert_eq!(world.arrived(), ["tls allowed.test"]);
}

#[test]
fn servers_are_verified_against_the_systems_authorities_and_those_that_are_named() {
    let mut world = World::new();
    // The server's certificate is not for this name.
    let ran = sh(&world, "curl -sS -i https://other.test/");
    assert!(ran.stdout.contains("HTTP/1.1 502 "), "{ran}");
    assert!(ran.stdout.contains("X-Outcall-Failure-Reason: upstream_handshake_failed"), "{ran}");
    ran.check_one_refusal("https", "default", "upstream_handshake_failed");
    // An authority that the supervisor does not know, and then does.
    let nobody = authority(&world, "nobody").0;
    let outcall = || Outcall::new(&world, RULES).env("SSL_CERT_FILE", nobody.to_str().unwrap());
    let ran = outcall().sh("curl -sS -i https://allowed.test/");
    assert!(ran.stdout.contains("X-Outcall-Failure-Reason: upstream_handshake_failed"), "{ran}");
    let ran = outcall().options(&["--upstream-ca", world.ca().to_str().unwrap()]).sh("curl -sS https://allowed.test/");
    assert!(ran.stdout.contains("saw GET / for allowed.test"), "{ran}");
    let ran = outcall().options(&["--upstream-ca", "nowhere.pem"]).sh("echo started");
    assert!(ran.stderr.contains("nowhere.pem") && !ran.stdout.contains("started"), "{ran}");
    assert_eq!(world.arrived().iter().filter(|line| line.starts_with("GET ")).count(), 1);
}

/// An authority in files, as `outcall ca init` makes it.
fn authority(world: &World, name: &str) -> (PathBuf, PathBuf) {
    let directory = world.dir().join(name);
    let made = world
        .command("outcall", 30)
        .args(["ca", "init", "--algorithm", "ecdsa", "--out"])
        .arg(&directory)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (directory.join("ca.crt"), directory.join("ca.key"))
}

#[test]
fn an_authority_in_files_signs_and_is_refused_when_its_key_is_not_kept() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let (certificate, key) = authority(&world, "ca");
    let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    let outcall = || Outcall::new(&world, RULES);
    let files = ["--ca-cert", certificate, "--ca-key", key, "--intercept-leaf-ttl-secs", "600"];
    let ran = outcall().options(&files).sh(&format!(
        "openssl s_client -connect allowed.test:443 -servername allowed.test -CAfile {certificate} -verify_return_error </dev/null 2>&1 | tee leaf | grep 'Verify return'; openssl x509 -in leaf -noout -checkend 700; curl -sS https://allowed.test/"
    ));
    assert!(ran.stdout.contains("Verify return code: 0 (ok)"), "{ran}");
    assert!(ran.stdout.contains("Certificate will expire"), "{ran}");
    assert!(ran.stdout.contains("saw GET / for allowed.test"), "{ran}");
    let ran = outcall().options(&files[..2]).sh("echo started");
    assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{ran}");
    std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let ran = outcall().options(&files).sh("echo started");
    assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "{ran}");
    assert!(ran.stderr.contains("ca.key"), "{ran}");
}

#[test]
fn a_bypassed_host_is_tunnelled_and_a_client_that_trusts_nobody_else_is_named() {
    let mut world = World::new();
    let ran = sh(
        &world,
        "openssl s_client -connect only4.test:443 -servername only4.test </dev/null 2>&1 | grep -i issuer; curl --http1.1 -sS https://only4.test/any",
    );
    assert!(ran.stdout.contains("The test internet's authority"), "{ran}");
    assert!(ran.stdout.contains("saw GET /any for only4.test"), "{ran}");
    assert_eq!(world.arrived().iter().filter(|line| *line == "tls only4.test").count(), 2);
    let ca = world.ca();
    let ran = sh(&world, &format!("curl -sS --cacert {} https://allowed.test/ 2>&1; true", ca.display()));
    assert!(ran.stdout.contains("curl: (60)"), "{ran}");
    let record = ran.check_one_refusal("connect", "read", "client_handshake_failed");
    let detail = record.pointer("/request/detail").and_then(Value::as_str).unwrap_or_default();
    assert!(detail.contains("untrusted_ca") && detail.contains("`interception.bypass`"), "{record:#}");
}

#[test]
fn a_listed_host_falls_back_to_a_tunnel_where_that_opens_nothing() {
    let mut world = World::new();
    let rules = r#"
version: "1"
interception:
  hosts: ["allowed.test", "other.test", "only6.test", "only4.test"]
  strict: ["only6.test"]
rules:
  - id: no-secret
    condition: http.host == "only4.test" && http.path.startsWith("/secret")
    action: block
  - id: web
    condition: http.host in ["allowed.test", "other.test", "only6.test", "only4.test"]
    action: allow
"#;
    let ca = world.ca();
    let pinned = format!("curl -sS --cacert {}", ca.display());
    let ran = Outcall::new(&world, rules).sh(&format!(
        "for host in allowed only6 only4; do for time in 1 2; do {pinned} https://$host.test/$time; echo \"$host $?\"; done; done
         {pinned} -k https://other.test/unverified; curl -sS https://other.test/refused; echo \"other $?\""
    ));
    let lines: Vec<&str> = ran.stdout.lines().collect();
    // curl ends with 60 where it does not trust the certificate that it is shown.
    assert_eq!(lines.first(), Some(&"allowed 60"), "{ran}");
    assert!(lines.get(1).is_some_and(|line| line.contains("saw GET /2 for allowed.test")), "{ran}");
    assert!(ran.stdout.contains("allowed 0"), "{ran}");
    assert_eq!((ran.stdout.matches("only6 60").count(), ran.stdout.matches("only4 60").count()), (2, 2), "{ran}");
    assert!(ran.stdout.contains("saw GET /unverified for other.test") && ran.stdout.contains("other 60"), "{ran}");
    assert_eq!(reason(&ran), ["client_handshake_failed"; 5], "{ran}");
    let of = |record: &Value, name: &str| record.pointer(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let fallen: Vec<[String; 4]> = ran
        .audit
        .iter()
        .filter(|record| of(record, "/request/fallback") == "tunnel")
        .map(|record| ["/request/http/host", "/request/failure", "/rule", "/decision"].map(|name| of(record, name)))
        .collect();
    let expected = [
        ["allowed.test", "client_handshake_failed", "web", "allow"],
        ["other.test", "upstream_handshake_failed", "web", "allow"],
        ["other.test", "upstream_handshake_failed", "web", "allow"],
    ];
    assert_eq!(fallen, expected, "{ran}");
    let requests: Vec<String> = world.arrived().into_iter().filter(|line| !line.starts_with("tls ")).collect();
    assert_eq!(requests, ["GET /2 allowed.test", "GET /unverified other.test"], "{ran}");
}

#[test]
fn what_is_not_tls_and_http_is_refused_inside_the_tunnel() {
    let mut world = World::new();
    let ran = sh(
        &world,
        "openssl s_client -connect allowed.test:443 -servername allowed.test -alpn irc </dev/null 2>&1; true",
    );
    assert!(ran.stdout.contains("no application protocol"), "{ran}");
    ran.check_one_refusal("connect", "read", "alpn_mismatch");
    let program = r#"
import os, socket, urllib.parse
proxy = urllib.parse.urlparse(os.environ["https_proxy"])
for first in [b"SSH-2.0-x\r\n", b"GET / HTTP/1.1\r\nHost: allowed.test\r\n\r\n", b"\x16\x03\x01\x40\x01" + bytes(17000), bytes(100)]:
    s = socket.create_connection((proxy.hostname, proxy.port), 10)
    s.settimeout(20)
    s.sendall(b"CONNECT allowed.test:443 HTTP/1.1\r\nHost: allowed.test:443\r\n\r\n")
    assert b" 200 " in s.recv(4096)
    s.sendall(first)
    rest = b""
    try:
        while got := s.recv(4096):
            rest += got
    except OSError:
        pass
    print(len(rest) <= 7, rest[:1] in (b"", b"\x15"))
"#;
    let ran = Outcall::new(&world, RULES).python(program);
    assert_eq!(ran.stdout, "True True\n".repeat(4), "{ran}");
    assert_eq!(reason(&ran), ["not_tls", "not_tls", "malformed_client_hello", "not_tls"], "{ran}");
    assert_eq!(world.arrived(), Vec::<String>::new());
}

#[test]
fn a_lot_flows_both_ways_and_connections_are_kept() {
    let mut world = World::new();
    let ran = sh(
        &world,
        "curl -sS https://allowed.test/bytes/5000000 | wc -c
         head -c 3000000 /dev/zero | curl -sS -H 'X-Mark: 1' -H 'Expect: 100-continue' --data-binary @- https://allowed.test/up
         head -c 3000000 /dev/zero | curl -sS -H 'X-Mark: 1' -H 'Transfer-Encoding: chunked' --data-binary @- https://allowed.test/up
         curl -sS https://allowed.test/chunked https://allowed.test/until-close https://allowed.test/status/204 https://allowed.test/last",
    );
    assert!(ran.stdout.starts_with("5000000\n"), "{ran}");
    assert_eq!(ran.stdout.matches("saw POST /up for allowed.test with 3000000 bytes").count(), 2, "{ran}");
    for path in ["/chunked", "/until-close", "/last"] {
        assert!(ran.stdout.contains(&format!("saw GET {path} for")), "{ran}");
    }
    assert_eq!((ran.refusals().len(), ran.status), (0, 0), "{ran}");
    let opened = world.arrived().into_iter().filter(|line| line == "tls allowed.test").count();
    assert_eq!(opened, 2, "one connection for all, and one more after the server closed");
}

#[test]
fn without_root_and_without_need_it_is_as_it_was() {
    let world = World::new();
    let ran =
        Outcall::new(&world, RULES).user(User::Nobody).sh("curl -sS https://allowed.test/ https://allowed.test/secret");
    assert!(ran.stdout.contains("saw GET / for allowed.test") && ran.stdout.contains("no-secret"), "{ran}");
    let rules =
        "version: \"1\"\nrules:\n  - id: all\n    condition: http.host == \"allowed.test\"\n    action: allow\n";
    let ran = Outcall::new(&world, rules)
        .options(&["--ca-cert", "nowhere.crt", "--ca-key", "nowhere.key"])
        .sh("echo \"$NODE_EXTRA_CA_CERTS|$SSL_CERT_FILE\"; ls /run/outcall 2>&1; curl -sS https://allowed.test/");
    assert!(ran.stdout.starts_with(&format!("|{}\n", world.ca().display())), "{ran}");
    assert!(ran.stdout.contains("No such file") && ran.stdout.contains("saw GET / for allowed.test"), "{ran}");
}

#[test]
fn a_preset_that_tells_requests_apart_inside_tls_does() {
    let mut world = World::new();
    let rules = "version: \"1\"\npresets: [github-readonly]\n";
    let ran = Outcall::new(&world, rules).sh("c() { curl -sS -o /dev/null -w \"$* %{http_code}\\n\" \"$@\"; }
         c -XGET https://api.github.com/repos/a/b; c -I https://api.github.com/repos/a/b
         c -XPOST https://api.github.com/repos/a/b; c -XDELETE https://api.github.com/repos/a/b
         c -d x https://github.com/a/b/git-receive-pack; git ls-remote https://github.com/a/b 2>&1; true");
    let api = "https://api.github.com/repos/a/b";
    for line in [
        format!("-XGET {api} 200"),
        format!("-I {api} 200"),
        format!("-XPOST {api} 403"),
        format!("-XDELETE {api} 403"),
    ] {
        assert!(ran.stdout.contains(&line), "{line}: {ran}");
    }
    assert!(ran.stdout.contains("git-receive-pack 403"), "{ran}");
    let arrived = world.arrived();
    assert!(arrived.iter().any(|line| line.starts_with("GET /a/b/info/refs?service=git-upload-pack")), "{ran}");
    assert!(!arrived.iter().any(|line| line.contains("git-receive-pack") || line.starts_with("POST")), "{arrived:?}");
}
