//! The DNS filter end to end: dig, Python and the C library inside the sandbox, and the log of the server outside.
#![cfg(test)]

use outcall_tests::fixtures::{Event, Outcall, World, zone};

const RULES: &str = r#"
version: "1"
rules:
  - id: block-evil
    condition: dns.query == "evil.test" || http.host == "evil.test"
    action: block
    priority: 10
  - id: allow-web
    condition: http.host in ["allowed.test", "alias.test", "alias-private.test", "https.test", "mixed.test", "rebind.test", "big.test", "silent.test", "servfail.test", "empty.test", "poison.test", "nowhere.test", "mapped.test", "nat64.test", "sixtofour.test", "loopback.test", "metadata.test", "loop.test", "txt.test"]
    action: allow
  - id: allow-private
    condition: http.host == "private.test"
    action: allow
    egress:
      allow_private_ips: true
  - id: allow-text
    condition: dns.query == "text.wild.test" && dns.record_type == "TXT"
    action: allow
"#;

/// Asks one question in the sandbox and gives dig's output.
#[track_caller]
fn dig(world: &World, question: &str) -> (outcall_tests::fixtures::Ran, String) {
    let ran = Outcall::new(world, RULES).sh(&format!("dig +tries=1 +time=10 {question}"));
    let text = ran.stdout.clone();
    (ran, text)
}

#[track_caller]
fn short(world: &World, question: &str) -> Vec<String> {
    let (_, text) = dig(world, &format!("+short {question}"));
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn an_allowed_name_resolves_over_udp_and_tcp_in_both_families() {
    let mut world = World::new();
    for transport in ["+notcp", "+tcp"] {
        assert_eq!(short(&world, &format!("{transport} allowed.test A")), [zone::CDN_V4.to_string()]);
        assert_eq!(short(&world, &format!("{transport} allowed.test AAAA")), [zone::CDN_V6.to_string()]);
    }
    let v6 = Outcall::new(&world, RULES).dns(&zone::DNS_V6.to_string()).sh("dig +short allowed.test A");
    assert_eq!(v6.stdout.trim(), zone::CDN_V4.to_string(), "{v6}");
    let mut queries = world.queries();
    queries.sort();
    queries.dedup();
    assert_eq!(queries, ["allowed.test A", "allowed.test AAAA"]);
}

#[test]
fn a_blocked_name_is_nxdomain_with_the_rule_and_never_leaves() {
    let mut world = World::new();
    let (ran, text) = dig(&world, "evil.test A");
    assert!(text.contains("status: NXDOMAIN"), "{text}");
    assert!(text.contains("EDE: 17 (Filtered)") && text.contains("block-evil"), "{text}");
    assert!(text.contains("SOA"), "{text}");
    let record = ran.check_one_refusal("dns", "block-evil", "blocked_by_rule");
    assert_eq!(record.pointer("/request/dns/query").and_then(|it| it.as_str()), Some("evil.test"), "{record:#}");
    assert_eq!(world.queries(), Vec::<String>::new());
    assert_eq!(world.packets(), []);
}

#[test]
fn a_name_that_no_rule_knows_is_nxdomain_by_default() {
    let mut world = World::new();
    for transport in ["+notcp", "+tcp"] {
        let (ran, text) = dig(&world, &format!("{transport} unknown.test AAAA"));
        assert!(text.contains("status: NXDOMAIN"), "{text}");
        assert!(text.contains("EDE: 17 (Filtered)") && text.contains("default"), "{text}");
        ran.check_one_refusal("dns", "default", "no_rule_allows");
    }
    assert_eq!(world.packets(), []);
}

#[test]
fn no_other_resolver_can_be_asked() {
    let mut world = World::new();
    let script = format!(
        "dig +tries=1 +time=5 @{v4} evil.test; dig +tries=1 +time=5 +tcp @{v4} evil.test; \
         dig +tries=1 +time=5 @{v6} evil.test; dig +tries=1 +time=5 +tcp @{v6} evil.test; \
         dig +tries=1 +time=5 @8.8.8.8 evil.test",
        v4 = zone::DNS_V4,
        v6 = zone::DNS_V6
    );
    let ran = Outcall::new(&world, RULES).sh(&script);
    assert_eq!(ran.stdout.matches("status: NXDOMAIN").count(), 5, "{ran}");
    assert_eq!(ran.refusals().len(), 5, "{ran}");
    assert_eq!(world.packets(), []);
}

#[test]
fn a_name_outside_the_canonical_form_is_refused_and_never_leaves() {
    let mut world = World::new();
    let ran = Outcall::new(&world, RULES)
        .sh("dig +tries=1 +time=5 'al\\lowed\\000.test'; dig +tries=1 +time=5 ALLOWED.TEST +short");
    assert!(ran.stdout.contains("status: NXDOMAIN") || ran.stdout.contains("status: FORMERR"), "{ran}");
    // Case does not matter, and is not a way past either.
    assert!(ran.stdout.ends_with(&format!("{}\n", zone::CDN_V4)), "{ran}");
    assert_eq!(world.queries(), ["allowed.test A"]);
}

#[test]
fn private_answers_are_taken_out_unless_the_rule_says_otherwise() {
    let world = World::new();
    assert_eq!(short(&world, "private.test A"), [zone::PRIVATE_V4.to_string()]);
    assert_eq!(short(&world, "private.test AAAA"), [zone::PRIVATE_V6.to_string()]);
    assert_eq!(short(&world, "mixed.test A"), [zone::CDN_V4.to_string()]);
    assert_eq!(short(&world, "mixed.test AAAA"), [zone::CDN_V6.to_string()]);
    for name in [
        "mapped.test AAAA",
        "nat64.test AAAA",
        "sixtofour.test AAAA",
        "loopback.test A",
        "loopback.test AAAA",
        "metadata.test A",
    ] {
        assert_eq!(short(&world, name), Vec::<String>::new(), "{name}");
    }
    let (_, aliased) = dig(&world, "alias-private.test A");
    assert!(!aliased.contains(&zone::PRIVATE_V4.to_string()), "{aliased}");
}

#[test]
fn an_https_record_loses_what_leads_around_the_proxy() {
    let mut world = World::new();
    let (_, text) = dig(&world, "+noall +answer https.test HTTPS");
    let mut plain = text.to_ascii_lowercase();
    plain.retain(|c| c != '"');
    assert!(plain.contains("alpn=h2"), "{text}");
    for lost in ["h3", "ech", "hint", &zone::CDN_V4.to_string()] {
        assert!(!plain.contains(lost), "{lost} is still there: {text}");
    }
    assert_eq!(world.queries(), ["https.test HTTPS"]);
}

#[test]
fn only_the_record_types_that_a_rule_names_are_asked() {
    let mut world = World::new();
    let (ran, text) = dig(&world, "txt.test TXT");
    assert!(!text.contains("a text record"), "{text}");
    ran.check_one_refusal("dns", "default", "record_type_not_allowed");
    let (ran, text) = dig(&world, "text.wild.test TXT");
    assert!(text.contains("status: NOERROR"), "{text}");
    assert_eq!(ran.refusals().len(), 0, "{ran}");
    assert_eq!(world.queries(), ["text.wild.test TXT"]);
}

#[test]
fn the_agents_edns_options_are_not_forwarded() {
    let mut world = World::new();
    dig(&world, "+subnet=198.51.100.0/24 +nsid +cookie=0011223344556677 allowed.test A");
    for event in world.events() {
        if let Event::Query { options, .. } = event {
            assert!(!options.contains(&8) && !options.contains(&3) && !options.contains(&10), "{options:?}");
        }
    }
    assert_eq!(world.queries(), ["allowed.test A"]);
}

#[test]
fn failures_upstream_are_servfail() {
    let mut world = World::new();
    let (ran, text) = dig(&world, "servfail.test A");
    assert!(text.contains("status: SERVFAIL"), "{ran}");
    let (ran, text) = dig(&world, "silent.test A");
    assert!(text.contains("status: SERVFAIL"), "{ran}");
    assert!(world.queries().iter().all(|query| query == "servfail.test A" || query == "silent.test A"));
    // A name that does not exist is said to be so, as upstream said it, and that is no refusal of ours.
    let (ran, text) = dig(&world, "nowhere.test A");
    assert!(text.contains("status: NXDOMAIN") && !text.contains("EDE: 17"), "{ran}");
    let (ran, text) = dig(&world, "empty.test A");
    assert!(text.contains("status: NOERROR") && text.contains("ANSWER: 0"), "{ran}");
    assert_eq!(ran.refusals().len(), 0, "{ran}");
}

#[test]
fn a_truncated_answer_is_fetched_over_tcp() {
    let mut world = World::new();
    assert_eq!(short(&world, "big.test A"), [zone::CDN_V4.to_string()]);
    let transports: Vec<String> = world
        .events()
        .into_iter()
        .filter_map(|event| if let Event::Query { transport, .. } = event { Some(transport) } else { None })
        .collect();
    assert_eq!(transports, ["udp", "tcp"]);
}

#[test]
fn answers_are_cached_as_long_as_they_say() {
    let mut world = World::new();
    let ran =
        Outcall::new(&world, RULES).sh("for i in 1 2 3; do dig +short allowed.test; dig +short rebind.test; done");
    assert_eq!(ran.stdout.matches(&zone::CDN_V4.to_string()).count(), 4, "{ran}");
    assert!(!ran.stdout.contains("127.0.0.1"), "rebinding to the loopback is taken out: {ran}");
    let queries = world.queries();
    assert_eq!(queries.iter().filter(|query| *query == "allowed.test A").count(), 1, "{queries:?}");
    assert_eq!(queries.iter().filter(|query| *query == "rebind.test A").count(), 3, "{queries:?}");
}

#[test]
fn records_of_other_names_in_an_answer_are_not_passed_on() {
    let world = World::new();
    let (_, text) = dig(&world, "poison.test A");
    assert!(!text.contains("evil.test"), "{text}");
    let (_, text) = dig(&world, "loop.test A");
    assert!(text.contains("status: SERVFAIL") || text.contains("status: NOERROR"), "{text}");
}

#[test]
fn the_c_library_and_python_use_the_filter() {
    let mut world = World::new();
    let program = r#"
import socket
print(sorted({entry[4][0] for entry in socket.getaddrinfo("allowed.test", 443)}))
try:
    socket.getaddrinfo("evil.test", 443)
    print("resolved")
except socket.gaierror as error:
    print("refused", error.errno == socket.EAI_NONAME)
"#;
    let ran = Outcall::new(&world, RULES).python(program);
    assert_eq!(ran.stdout, format!("['{}', '{}']\nrefused True\n", zone::CDN_V6, zone::CDN_V4), "{ran}");
    assert!(!world.queries().iter().any(|query| query.starts_with("evil.test")));
}

#[test]
fn malformed_queries_are_answered_or_dropped_and_change_nothing() {
    let mut world = World::new();
    let program = r#"
import socket
resolver = [line.split()[1] for line in open("/etc/resolv.conf") if line.startswith("nameserver")][0]
family = socket.AF_INET6 if ":" in resolver else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM)
s.settimeout(0.3)
header = lambda flags, counts: b"\x12\x34" + flags + b"".join(n.to_bytes(2, "big") for n in counts)
name = b"\x07allowed\x04test\x00\x00\x01\x00\x01"
bad = [b"", b"\x00", header(b"\x01\x00", (1, 0, 0, 0)), header(b"\x01\x00", (1, 0, 0, 0)) + b"\xc0\x0c\x00\x01\x00\x01",
       header(b"\x01\x00", (2, 0, 0, 0)) + name + name, header(b"\x81\x80", (1, 0, 0, 0)) + name,
       header(b"\x01\x00", (1, 0, 0, 0)) + name + b"trailing", header(b"\x01\x00", (1, 0, 0, 0)) + b"\x3f" + b"a" * 10,
       header(b"\x09\x00", (1, 0, 0, 0)) + name, b"\xff" * 65000]
for message in bad:
    try:
        s.sendto(message, (resolver, 53))
        answer = s.recv(65535)
        print("answered", answer[3] & 15)
    except OSError:
        print("dropped")
s.settimeout(5)
while True:
    try:
        s.setblocking(False)
        s.recv(65535)
    except BlockingIOError:
        break
s.settimeout(5)
s.sendto(header(b"\x01\x00", (1, 0, 0, 0)) + name, (resolver, 53))
print("still", s.recv(65535)[3] & 15)
"#;
    let ran = Outcall::new(&world, RULES).python(program);
    assert!(ran.stdout.ends_with("still 0\n"), "{ran}");
    assert!(!ran.stdout.contains("answered 0"), "{ran}");
    assert_eq!(world.queries(), ["allowed.test A"]);
}

#[test]
fn names_under_a_wildcard_leave_within_a_budget_whoever_resolves_them() {
    let mut world = World::new();
    let rules = r#"
version: "1"
rules:
  - { id: wild, condition: 'http.host.endsWith(".wild.test")', action: allow }
"#;
    let curl = "curl -s -o /dev/null -w '%{http_code}\\n' --noproxy '' -x http://127.0.0.1:61080";
    let script = format!(
        "dig +short a.wild.test A; {curl} http://b.wild.test/; dig c.wild.test A; {curl} http://d.wild.test/; \
         {curl} http://a.wild.test/"
    );
    let ran = Outcall::new(&world, rules).options(&["--dns-budget-names", "2"]).sh(&script);
    assert!(ran.stdout.contains("status: REFUSED"), "{ran}");
    let lines: Vec<&str> = ran.stdout.lines().filter(|line| line.len() == 3).collect();
    assert_eq!(lines, ["200", "429", "200"], "{ran}");
    let refusals: Vec<_> = ran.refusals().iter().map(|it| (it["layer"].clone(), it["reason"].clone())).collect();
    let expected = ["dns", "http"].map(|layer| (layer.into(), "dns_budget_spent".into()));
    assert_eq!(refusals, expected, "{ran}");
    assert!(world.queries().iter().all(|query| query.starts_with("a.wild") || query.starts_with("b.wild")));
    let free = Outcall::new(&world, rules).options(&["--dns-budget-names", "2", "--no-dns-budget"]);
    let ran = free.sh("for i in 1 2 3 4; do dig +short $i.wild.test A; done");
    assert_eq!(ran.stdout.lines().count(), 4, "{ran}");
}
