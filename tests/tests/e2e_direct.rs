//! `direct_ip` in a sandbox: where a name led, bytes pass as they are; at another port, at another address, or after the
//! answer has expired they do not. nc, openssl and Python inside, the internet's logs outside.
#![cfg(test)]

use std::net::IpAddr;

use outcall_tests::fixtures::{Outcall, World, zone};

const RULES: &str = r#"
version: "1"
rules:
  - id: block-port
    condition: network.port == 7000 && network.ip == "10.99.0.7"
    action: block
  - id: direct
    condition: dns.query in ["allowed.test", "brief.test", "moving.test", "private.test"]
    action: allow
    egress: { mode: direct_ip, ports: [443, 7000] }
  - id: web
    condition: http.host == "other.test"
    action: allow
"#;

const NEITHER: &str = "direct_ip in `direct`: a sandbox carries TCP alone, so UDP and other protocols are refused";

fn both(port: u16) -> [(IpAddr, u16); 2] {
    [(zone::CDN_V4.into(), port), (zone::CDN_V6.into(), port)]
}

#[test]
fn bytes_pass_to_where_the_name_led_in_both_families() {
    let mut world = World::new();
    let ran = Outcall::new(&world, RULES).sh(
        "printf four | nc -N -4 -w 20 allowed.test 7000; echo; printf six | nc -N -6 -w 20 allowed.test 7000; echo; \
         printf 'get /x\\r\\n' | nc -N -4 -w 20 allowed.test 7000",
    );
    assert_eq!(ran.stdout, "four\nsix\nget /x\r\n", "{ran}");
    assert!(ran.refusals().is_empty(), "{ran}");
    assert!(ran.stderr.contains("direct (policy.yaml:7)") && ran.stderr.contains("allowed.test:7000"), "{ran}");
    assert!(ran.stderr.contains(NEITHER), "{ran}");
    assert_eq!(world.arrived(), ["bytes four", "bytes six", "bytes get /x\r\n"]);
    world.check_only_reached(&both(7000));
}

#[test]
fn what_is_in_the_bytes_is_nobodys_business() {
    let mut world = World::new();
    // Another server name than the one that was resolved: on this address and port, the rule asks nobody.
    let ran = Outcall::new(&world, RULES).sh("getent ahosts allowed.test >/dev/null; \
         for address in 93.184.216.34:443 '[2606:2800:220:1::34]:443'; do \
         printf 'GET /in HTTP/1.1\\r\\nHost: evil.test\\r\\nConnection: close\\r\\n\\r\\n' | \
         openssl s_client -quiet -verify_quiet -ign_eof -connect $address -servername evil.test; done");
    assert_eq!(ran.stdout.matches("saw GET /in for evil.test").count(), 2, "{ran}");
    assert!(ran.refusals().is_empty(), "{ran}");
    assert_eq!(world.arrived(), ["tls evil.test", "GET /in evil.test", "tls evil.test", "GET /in evil.test"]);
    world.check_only_reached(&both(443));
}

#[test]
fn other_ports_other_addresses_and_what_was_never_resolved_stay_closed() {
    let addresses = [(zone::CDN_V4.to_string(), zone::OTHER_V4.to_string())];
    for (open, other) in addresses.into_iter().chain([(zone::CDN_V6.to_string(), zone::OTHER_V6.to_string())]) {
        let mut world = World::new();
        let ran = Outcall::new(&world, RULES).sh(&format!(
            "try() {{ printf hello | nc -N -w 20 $1 $2; }}; \
             try {open} 7000; getent ahosts allowed.test other.test >/dev/null; getent ahosts other.test >/dev/null; \
             try {open} 7001; try {open} 53443; try {other} 7000; try {other} 443; printf x | nc -u -w 1 {open} 7000; \
             printf x | nc -u -w 1 {open} 7001; true"
        ));
        assert_eq!(ran.stdout, "", "{ran}");
        let told: Vec<(String, u64)> = ran
            .refusals()
            .iter()
            .map(|record| {
                let rule = record.get("rule").and_then(|rule| rule.as_str()).unwrap_or_default().to_owned();
                (rule, record.pointer("/request/network/port").and_then(|port| port.as_u64()).unwrap_or_default())
            })
            .collect();
        let expected = [
            ("default", 7000),
            ("default", 7001),
            ("default", 53443),
            ("default", 7000),
            ("default", 443),
            ("direct", 7000),
            ("default", 7001),
        ];
        assert_eq!(told, expected.map(|(rule, port)| (rule.to_owned(), port)), "{ran}");
        let udp = ran.refusals().into_iter().nth(5).unwrap().clone();
        assert_eq!(udp.pointer("/request/network/protocol").and_then(|it| it.as_str()), Some("udp"));
        let detail = udp.pointer("/request/detail").and_then(|it| it.as_str()).unwrap_or_default();
        assert_eq!(detail, "a sandbox has no way out for udp, only for TCP");
        assert_eq!(world.arrived(), Vec::<String>::new());
        world.check_only_reached(&[]);
    }
}

#[test]
fn a_private_address_stays_closed_and_rules_on_addresses_go_first() {
    let mut world = World::new();
    let script = "printf hello | nc -N -w 20 private.test 7000; printf hello | nc -N -w 20 10.99.0.7 7000; true";
    let ran = Outcall::new(&world, RULES).sh(script);
    assert_eq!(ran.stdout, "", "{ran}");
    world.check_only_reached(&[]);
    let opened = RULES.replace("ports: [443, 7000]", "ports: [443, 7000], allow_private_ips: true");
    let ran = Outcall::new(&world, &opened)
        .sh("printf no | nc -N -w 20 -4 private.test 7000; printf yes | nc -N -w 20 -6 private.test 7000; true");
    assert_eq!(ran.stdout, "yes", "{ran}");
    ran.check_one_refusal("network", "block-port", "blocked_by_rule");
    world.check_only_reached(&[(zone::PRIVATE_V6.into(), 7000)]);
}

#[test]
fn an_address_closes_when_its_answer_expires_and_opens_when_it_is_given_again() {
    let mut world = World::new();
    // The answers of this name live for a second, so the address for as long as any does.
    let ran = Outcall::new(&world, RULES).python(
        r#"
import socket, threading, time
def reach(address):
    try:
        with socket.create_connection((address, 7000), 20) as s:
            s.sendall(b"hello\n")
            return s.recv(6) == b"hello\n"
    except OSError:
        return False
def follow(family):
    address = socket.getaddrinfo("brief.test", 7000, family)[0][4][0]
    began = time.monotonic()
    opened = reach(address)
    while reach(address) and time.monotonic() - began < 30:
        time.sleep(0.5)
    closed = 8 < time.monotonic() - began < 20
    socket.getaddrinfo("brief.test", 7000, family)
    print("%s %s %s\n" % (opened, closed, reach(address)), end="")
threads = [threading.Thread(target=follow, args=(family,)) for family in (socket.AF_INET, socket.AF_INET6)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"#,
    );
    assert_eq!(ran.stdout, "True True True\n".repeat(2), "{ran}");
    ran.refusals().iter().for_each(|record| ran.check_record(record, "network", "default", "raw_traffic"));
    assert_eq!(ran.refusals().len(), 2, "{ran}");
    world.check_only_reached(&both(7000));
}

#[test]
fn when_a_name_moves_its_new_address_opens() {
    let mut world = World::new();
    let script = "for round in 1 2; do printf $round | nc -N -4 -w 20 moving.test 7000; done";
    let ran = Outcall::new(&world, RULES).sh(script);
    assert_eq!(ran.stdout, "12", "{ran}");
    world.check_only_reached(&[(zone::CDN_V4.into(), 7000), (zone::OTHER_V4.into(), 7000)]);
    assert_eq!(world.packets().iter().filter(|packet| packet.port == 7000).count(), 2);
}

#[test]
fn the_proxy_itself_is_not_opened_by_it() {
    let mut world = World::new();
    let ran = Outcall::new(&world, RULES)
        .sh("getent ahosts allowed.test >/dev/null; curl -sS -p -x $https_proxy http://allowed.test:7000/; \
         curl -sS -x $https_proxy https://93.184.216.34:7000/; true");
    assert!(!ran.stdout.contains("saw"), "{ran}");
    assert_eq!(ran.refusals().len(), 2, "{ran}");
    assert_eq!(world.arrived(), Vec::<String>::new());
    world.check_only_reached(&[]);
}
