//! Servers and clients at the edges, seen by real clients: certificates that nobody should accept, protocols that do not
//! meet, names that change under way.
#![cfg(test)]

use outcall_tests::fixtures::{Outcall, Ran, World};
use serde_json::Value;

const RULES: &str = r#"
version: "1"
rules:
  - id: all
    condition: http.host in ["modern.test", "grpc.test", "expired.test", "misnamed.test", "selfsigned.test", "mutual.test", "allowed.test"]
    action: allow
    egress:
      mode: intercept
"#;

#[track_caller]
fn sh(world: &World, script: &str) -> Ran {
    Outcall::new(world, RULES).sh(script)
}

fn reasons(ran: &Ran) -> Vec<&str> {
    ran.refusals().into_iter().filter_map(|record| record.get("reason").and_then(Value::as_str)).collect()
}

#[test]
fn servers_that_nobody_should_trust_get_no_request_in_either_protocol() {
    let mut world = World::new();
    let hosts = ["expired.test", "misnamed.test", "selfsigned.test", "mutual.test"];
    for option in ["--http2", "--http1.1"] {
        let ran = sh(
            &world,
            &format!(
                "for host in {}; do curl {option} -sS --suppress-connect-headers -o /dev/null -D - https://$host/ | tr -d '\\r' | grep -iE '^HTTP|reason'; done",
                hosts.join(" ")
            ),
        );
        let lines: Vec<String> = ran.stdout.lines().map(str::to_lowercase).collect();
        assert_eq!(lines.len(), 8, "{ran}");
        for answer in lines.chunks(2) {
            assert!(answer[0].contains(" 502"), "{ran}");
            assert_eq!(answer[1], "x-outcall-failure-reason: upstream_handshake_failed", "{ran}");
        }
        assert_eq!(reasons(&ran), ["upstream_handshake_failed"; 4], "{ran}");
    }
    let requests: Vec<String> = world.arrived().into_iter().filter(|line| line.contains("GET")).collect();
    assert_eq!(requests, Vec::<String>::new());
}

#[test]
fn a_client_and_a_server_without_a_protocol_in_common_are_told() {
    let mut world = World::new();
    // HTTP/1.1 with a server that speaks HTTP/2 alone, and HTTP/2 with one that speaks HTTP/1.1 alone.
    let ran = sh(
        &world,
        "curl --http1.1 -sS -i https://grpc.test/; curl --http2-prior-knowledge -sS -i https://allowed.test/; nghttp -v https://allowed.test/ 2>&1 | grep -a -e status -e reason",
    );
    assert!(ran.stdout.contains("X-Outcall-Failure-Reason: alpn_mismatch"), "{ran}");
    assert!(reasons(&ran).iter().all(|reason| *reason == "alpn_mismatch"), "{ran}");
    assert!(!world.arrived().iter().any(|line| line.starts_with("GET") && line.contains("grpc.test")), "{ran}");
}

#[test]
fn both_versions_of_tls_carry_http_2() {
    let mut world = World::new();
    let ran = sh(
        &world,
        "for version in 1.2 1.3; do curl --tlsv$version --tls-max $version --http2 -sS -o /dev/null -w '%{http_code} %{http_version} %{ssl_verify_result}\\n' https://modern.test/$version; done",
    );
    assert_eq!(ran.stdout, "200 2 0\n200 2 0\n", "{ran}");
    assert!(world.arrived().contains(&"GET /1.2 modern.test".to_owned()), "{ran}");
}

#[test]
fn the_name_is_held_to_on_the_third_request_and_the_third_stream() {
    let mut world = World::new();
    let ran = sh(
        &world,
        "for option in --http1.1 --http2; do
           curl $option -sS -w '%{http_code} %{http_version} %{num_connects}\\n' -o /dev/null https://modern.test/1 --next $option -sS -w '%{http_code} %{http_version} %{num_connects}\\n' -o /dev/null https://modern.test/2 \\
             --next $option -sS -w '%{http_code} %{http_version} %{num_connects}\\n' -o /dev/null -H 'Host: allowed.test' https://modern.test/3 \\
             --next $option -sS -w '%{http_code} %{http_version} %{num_connects}\\n' -o /dev/null https://modern.test/4
         done",
    );
    let each = |version: &str, next: &str| {
        format!("200 {version} 1\n200 {version} 0\n421 {version} 0\n200 {version} {next}\n")
    };
    // In HTTP/1.1 nobody can tell what follows such a request, so the connection ends; in HTTP/2 it is one stream.
    assert_eq!(ran.stdout, format!("{}{}", each("1.1", "1"), each("2", "0")), "{ran}");
    assert_eq!(reasons(&ran), ["host_mismatch"; 2], "{ran}");
    let paths: Vec<String> = world.arrived().into_iter().filter(|line| line.starts_with("GET")).collect();
    let expected =
        ["GET /1", "GET /2", "GET /4", "GET /1", "GET /2", "GET /4"].map(|line| format!("{line} modern.test"));
    assert_eq!(paths, expected, "{ran}");
}
