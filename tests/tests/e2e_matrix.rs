//! What an agent can try, each way and in each family: allowed, or refused by name, CONNECT, SNI, Host, path, port, bare
//! address, UDP and ICMP. Real clients inside; outside, the logs of the internet's servers, its DNS server and its kernel.
#![cfg(test)]

use std::net::IpAddr;

use outcall_tests::fixtures::{Outcall, World, zone};

const RULES: &str = r#"
version: "1"
rules:
  - id: block-evil
    condition: http.host == "evil.test" || dns.query == "evil.test"
    action: block
    priority: 10
  - id: block-secret
    condition: http.path.startsWith("/secret")
    action: block
    priority: 10
  - id: allow-web
    condition: http.host in ["only4.test", "only6.test"] && (http.scheme == "https" || http.path.startsWith("/ok"))
    action: allow
    egress:
      ports: [80, 443]
"#;

/// One family: a name that has an address of it alone, the address, the same as in URLs, and the type of its record.
const FAMILIES: [[&str; 4]; 2] = [
    ["only4.test", "93.184.216.34", "93.184.216.34", "A"],
    ["only6.test", "2606:2800:220:1::34", "[2606:2800:220:1::34]", "AAAA"],
];

/// Puts the family's words into a script: NAME, ADDRESS, LITERAL and TYPE; and the proxy's place: PROXY.
fn script(text: &str, [name, address, literal, kind]: [&str; 4]) -> String {
    text.replace("NAME", name)
        .replace("ADDRESS", address)
        .replace("LITERAL", literal)
        .replace("TYPE", kind)
        .replace("PROXY", "${https_proxy#http://}")
}

fn check_allowed(text: &str, arrived: &[&str]) {
    for family in FAMILIES {
        let mut world = World::new();
        let ran = Outcall::new(&world, RULES).sh(&script(text, family));
        assert!(ran.refusals().is_empty(), "{text}\n{ran}");
        assert!(ran.stdout.contains(&format!("upstream {}:", family[2])), "{text}\n{ran}");
        let arrived: Vec<String> = arrived.iter().map(|line| script(line, family)).collect();
        assert_eq!(world.arrived(), arrived, "{text}\n{ran}");
        let all = [
            (zone::CDN_V4.into(), 80),
            (zone::CDN_V6.into(), 80),
            (zone::CDN_V4.into(), 443),
            (zone::CDN_V6.into(), 443),
        ];
        world.check_only_reached(&all);
    }
}

/// Asserts that there was one refusal, and that nothing of it reached anybody: no byte, no packet but to the DNS server,
/// and there no name but those that the policy lets out.
fn check_refused(text: &str, refusals: &[(&str, &str, &str)]) {
    check_refused_after(text, refusals, &[]);
}

/// The same where a connection to an allowed place stood before.
fn check_refused_after(text: &str, refusals: &[(&str, &str, &str)], reached: &[(IpAddr, u16)]) {
    for family in FAMILIES {
        let mut world = World::new();
        let ran = Outcall::new(&world, RULES).sh(&script(text, family));
        let records = ran.refusals();
        assert_eq!(records.len(), refusals.len(), "{text}\n{ran}");
        for (record, (layer, rule, reason)) in records.into_iter().zip(refusals) {
            ran.check_record(record, layer, rule, reason);
        }
        assert!(!ran.stdout.contains("saw "), "{text}\n{ran}");
        assert_eq!(world.arrived(), Vec::<String>::new(), "{text}\n{ran}");
        world.check_only_reached(reached);
        let strays: Vec<String> = world.queries().into_iter().filter(|query| !query.starts_with("only")).collect();
        assert_eq!(strays, Vec::<String>::new(), "{text}\n{ran}");
    }
}

const REQUEST: &str = "GET /ok HTTP/1.1\\r\\nHost: NAME\\r\\nConnection: close\\r\\n\\r\\n";

#[test]
fn allowed_in_plain_text() {
    let python = "python3 -c 'import urllib.request as r; r.install_opener(r.build_opener(WAY)); \
                  print(r.urlopen(\"http://NAME/ok\", timeout=20).read().decode())'";
    for text in [
        "curl -sS http://NAME/ok",
        "curl -sS --noproxy '*' http://NAME/ok",
        &python.replace("WAY", ""),
        &python.replace("WAY", "r.ProxyHandler({})"),
        &format!("printf '{REQUEST}' | nc -w 20 NAME 80"),
        &format!("printf '{}' | nc -w 20 127.0.0.1 61080", REQUEST.replace("/ok", "http://NAME/ok")),
    ] {
        check_allowed(text, &["GET /ok NAME"]);
    }
}

#[test]
fn allowed_through_tls() {
    let openssl = |way: &str| {
        format!(
            "printf '{REQUEST}' | openssl s_client -quiet -verify_quiet -ign_eof {way} -connect NAME:443 -servername NAME"
        )
    };
    for text in [
        "curl -sS --http1.1 https://NAME/ok",
        "curl -sS --http1.1 --noproxy '*' https://NAME/ok",
        &openssl(""),
        &openssl("-proxy PROXY"),
    ] {
        check_allowed(text, &["tls NAME", "GET /ok NAME"]);
    }
}

#[test]
fn refused_by_name() {
    let blocked = [("dns", "block-evil", "blocked_by_rule")];
    let unknown = [("dns", "default", "no_rule_allows")];
    for (text, refusals) in [
        ("dig +short evil.test TYPE", &blocked),
        ("dig +tcp +short evil.test TYPE", &blocked),
        ("dig +short @LITERAL unknown.test TYPE", &unknown),
        ("dig +tcp +short @ADDRESS unknown.test TYPE", &unknown),
    ] {
        check_refused(&text.replace("@LITERAL", "@ADDRESS"), refusals);
    }
    let python = "python3 -c 'import socket; socket.getaddrinfo(\"evil.test\", 80, socket.FAMILY)' 2>&1; true";
    for family in ["AF_INET", "AF_INET6"] {
        check_refused(&python.replace("FAMILY", family), &blocked);
    }
}

#[test]
fn refused_by_connect() {
    for (text, rule, reason) in [
        ("curl -sS https://evil.test/ok", "block-evil", "blocked_by_rule"),
        ("curl -sS https://unknown.test/ok", "default", "no_rule_allows"),
        ("curl -sS -g https://LITERAL/ok", "default", "no_rule_allows"),
        ("curl -sS -p http://evil.test/ok", "block-evil", "blocked_by_rule"),
        (
            "openssl s_client -proxy PROXY -connect evil.test:443 -servername NAME </dev/null",
            "block-evil",
            "blocked_by_rule",
        ),
        (
            "printf 'CONNECT LITERAL:443 HTTP/1.1\\r\\nHost: LITERAL:443\\r\\n\\r\\n' | nc -N -w 20 127.0.0.1 61080",
            "default",
            "no_rule_allows",
        ),
    ] {
        check_refused(&format!("{text} 2>&1; true"), &[("connect", rule, reason)]);
    }
}

#[test]
fn refused_by_sni() {
    let resolve = "dig +short NAME TYPE >/dev/null";
    for (text, rule, reason) in [
        ("openssl s_client -connect LITERAL:443 -servername evil.test </dev/null", "block-evil", "blocked_by_rule"),
        ("openssl s_client -connect LITERAL:443 -servername unknown.test </dev/null", "default", "no_rule_allows"),
        ("curl -sS --noproxy '*' --connect-to ::LITERAL: https://evil.test/ok", "block-evil", "blocked_by_rule"),
    ] {
        check_refused(&format!("{resolve}; {text} 2>&1; true"), &[("connect", rule, reason)]);
    }
    // The connection that CONNECT asked for is there, and no byte of the client's goes into it.
    check_refused_after(
        "openssl s_client -proxy PROXY -connect NAME:443 -servername evil.test </dev/null 2>&1; true",
        &[("connect", "default", "host_mismatch")],
        &[(zone::CDN_V4.into(), 443), (zone::CDN_V6.into(), 443)],
    );
}

#[test]
fn refused_by_host_and_by_path() {
    let host = REQUEST.replace("NAME", "evil.test");
    for (text, rule, reason) in [
        ("curl -sS --noproxy '*' -H 'Host: evil.test' http://NAME/ok", "block-evil", "blocked_by_rule"),
        (&format!("printf '{host}' | nc -w 20 NAME 80"), "block-evil", "blocked_by_rule"),
        ("curl -sS http://evil.test/ok", "block-evil", "blocked_by_rule"),
        ("curl -sS http://NAME/secret", "block-secret", "blocked_by_rule"),
        ("curl -sS --noproxy '*' http://NAME/secret", "block-secret", "blocked_by_rule"),
        ("curl -sS http://NAME/no", "default", "no_rule_allows"),
        ("curl -sS --noproxy '*' http://NAME/no", "default", "no_rule_allows"),
        // Two names in one request.
        ("curl -sS -H 'Host: evil.test' http://NAME/ok", "default", "ambiguous_request"),
    ] {
        check_refused(text, &[("http", rule, reason)]);
    }
}

#[test]
fn refused_by_port() {
    for way in ["", "--noproxy '*'"] {
        let text = format!("curl {way} -sS http://NAME:8080/ok");
        check_refused(&text, &[("http", "allow-web", "port_not_open")]);
        let text = format!("curl {way} -sS https://NAME:8443/ok 2>&1; true");
        check_refused(&text, &[("connect", "allow-web", "port_not_open")]);
    }
}

#[test]
fn refused_as_bare_traffic() {
    let datagram = "python3 -c 'import socket; s = socket.socket(socket.FAMILY, socket.SOCK_DGRAM); \
                    s.connect((\"ADDRESS\", 443)); s.send(b\"x\"); s.settimeout(20); s.recv(1)' 2>&1; true";
    let datagram = |family: &str| datagram.replace("FAMILY", family);
    for text in [
        "printf hello | nc -N -w 20 ADDRESS 7000; true",
        "printf hello | nc -N -w 20 ADDRESS 443; true",
        "curl -sS -g --noproxy '*' http://LITERAL/ok; true",
        "printf hello | nc -u -w 1 ADDRESS 7000; true",
        "dig +tries=1 +time=20 -p 123 @ADDRESS only4.test; true",
        &format!("case ADDRESS in *:*) {};; *) {};; esac", datagram("AF_INET6"), datagram("AF_INET")),
        "ping -c 1 -W 20 ADDRESS; true",
    ] {
        check_refused(text, &[("network", "default", "raw_traffic")]);
    }
}
