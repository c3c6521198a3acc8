//! TLS end to end, through CONNECT and transparently: curl, openssl and raw sockets inside, the upstream's log outside.
#![cfg(test)]

use outcall_tests::fixtures::{Event, Outcall, Ran, World, zone};

const RULES: &str = r#"
version: "1"
rules:
  - id: block-evil
    condition: http.host == "evil.test"
    action: block
    priority: 10
  - id: block-old-protocol
    condition: http.host == "only4.test" && "h2" in tls.alpn
    action: block
    priority: 10
  - id: allow-tls
    condition: http.host in ["allowed.test", "only4.test", "only6.test"] && http.scheme == "https"
    action: allow
    egress:
      ports: [443]
  - id: allow-private-name
    condition: http.host in ["private.test", "down.test"]
    action: allow
  - id: allow-by-address
    condition: http.host == "sni-only.wild.test" && network.ip == "93.184.216.35"
    action: allow
"#;

/// Both ways to the proxy: with the proxy variables, and past them.
const WAYS: [&str; 2] = ["", "--noproxy '*'"];

#[track_caller]
fn sh(world: &World, script: &str) -> Ran {
    Outcall::new(world, RULES).sh(script)
}

#[test]
fn an_allowed_name_is_tunnelled_in_both_families_and_the_certificate_is_the_upstreams() {
    for way in WAYS {
        for (name, address) in [("only4.test", zone::CDN_V4.to_string()), ("only6.test", format!("[{}]", zone::CDN_V6))]
        {
            let mut world = World::new();
            let ran = sh(&world, &format!("curl --http1.1 {way} -sS https://{name}/any"));
            assert!(ran.stdout.contains(&format!("upstream {address}:443 saw GET /any for {name}")), "{ran}");
            assert_eq!(ran.refusals().len(), 0, "{ran}");
            assert_eq!(world.arrived(), [format!("tls {name}"), format!("GET /any {name}")]);
        }
    }
}

#[test]
fn connect_to_a_refused_name_is_a_403_with_the_rule() {
    for (name, rule, reason) in
        [("evil.test", "block-evil", "blocked_by_rule"), ("unknown.test", "default", "no_rule_allows")]
    {
        let mut world = World::new();
        let ran = sh(&world, &format!("curl -sS -i https://{name}/ 2>&1; true"));
        assert!(ran.stdout.contains("HTTP/1.1 403 "), "{ran}");
        assert!(ran.stdout.to_ascii_lowercase().contains(&format!("x-outcall-block-reason: {rule}\r\n")), "{ran}");
        ran.check_one_refusal("connect", rule, reason);
        assert_eq!(world.packets(), [], "not even a query");
    }
}

#[test]
fn a_refused_sni_is_closed_before_anything_leaves() {
    // The agent resolves the name it may, so that the kernel lets it connect there, and asks for the neighbour.
    const RESOLVE: &str = "dig +short allowed.test A allowed.test AAAA >/dev/null";
    for address in [zone::CDN_V4.to_string(), format!("[{}]", zone::CDN_V6)] {
        for (name, rule, reason) in
            [("evil.test", "block-evil", "blocked_by_rule"), ("unknown.test", "default", "no_rule_allows")]
        {
            let mut world = World::new();
            let ran = sh(
                &world,
                &format!("{RESOLVE}; openssl s_client -connect {address}:443 -servername {name} </dev/null 2>&1; true"),
            );
            assert!(!ran.stdout.contains("BEGIN CERTIFICATE"), "{ran}");
            ran.check_one_refusal("connect", rule, reason);
            assert_eq!(world.arrived(), Vec::<String>::new());
            world.check_only_reached(&[]);
        }
    }
}

/// The shared front: one address, one certificate, two names.
#[test]
fn connect_for_one_name_and_sni_of_its_neighbour_is_closed() {
    let mut world = World::new();
    let ran = sh(
        &world,
        "openssl s_client -proxy \"${https_proxy#http://}\" -connect allowed.test:443 -servername evil.test </dev/null 2>&1; true",
    );
    assert!(!ran.stdout.contains("BEGIN CERTIFICATE"), "{ran}");
    ran.check_one_refusal("connect", "default", "host_mismatch");
    assert!(!world.arrived().iter().any(|line| line.contains("evil")), "{:?}", world.arrived());
}

#[test]
fn without_a_server_name_or_without_tls_nothing_is_tunnelled() {
    let mut world = World::new();
    let ran = sh(
        &world,
        "openssl s_client -proxy \"${https_proxy#http://}\" -connect allowed.test:443 -noservername </dev/null 2>&1; true",
    );
    assert!(!ran.stdout.contains("BEGIN CERTIFICATE"), "{ran}");
    ran.check_one_refusal("connect", "default", "sni_missing");
    let ran = sh(&world, "openssl s_client -connect allowed.test:443 -noservername </dev/null 2>&1; true");
    assert!(!ran.stdout.contains("BEGIN CERTIFICATE"), "{ran}");
    // Without a name there is only the address to judge.
    ran.check_one_refusal("connect", "default", "no_rule_allows");
    let program = r#"
import os, socket, urllib.parse
proxy = urllib.parse.urlparse(os.environ["https_proxy"])
s = socket.create_connection((proxy.hostname, proxy.port), 10)
s.settimeout(10)
s.sendall(b"CONNECT allowed.test:443 HTTP/1.1\r\nHost: allowed.test:443\r\n\r\n")
print(s.recv(4096).split(b"\r\n")[0].decode())
s.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
try:
    print("closed" if s.recv(4096) == b"" else "answered")
except OSError:
    print("closed")
"#;
    let ran = Outcall::new(&world, RULES).python(program);
    assert!(ran.stdout.ends_with("closed\n"), "{ran}");
    ran.check_one_refusal("connect", "default", "not_tls");
    assert_eq!(world.arrived(), Vec::<String>::new());
}

#[test]
fn a_client_hello_in_many_pieces_is_understood() {
    let mut world = World::new();
    // TLS records of 20 bytes and TCP segments of one.
    let program = r#"
import socket, ssl
context = ssl.create_default_context()
incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
tls = context.wrap_bio(incoming, outgoing, server_hostname="allowed.test")
try:
    tls.do_handshake()
except ssl.SSLWantReadError:
    pass
record = outgoing.read()
body = record[5:]
pieces = b"".join(b"\x16\x03\x01" + len(body[at:at + 20]).to_bytes(2, "big") + body[at:at + 20] for at in range(0, len(body), 20))
s = socket.create_connection(("allowed.test", 443), 10)
s.settimeout(10)
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
for byte in pieces:
    s.send(bytes([byte]))
while True:
    try:
        tls.do_handshake()
        break
    except ssl.SSLWantReadError:
        if out := outgoing.read():
            s.sendall(out)
        got = s.recv(65536)
        if not got:
            raise SystemExit("closed")
        incoming.write(got)
s.sendall(outgoing.read())
print(tls.version(), dict(x[0] for x in tls.getpeercert()["subject"]) is not None)
"#;
    let ran = Outcall::new(&world, RULES).python(program);
    assert!(ran.stdout.starts_with("TLSv1.3 True"), "{ran}");
    assert_eq!(world.arrived().first().map(String::as_str), Some("tls allowed.test"));
}

#[test]
fn what_the_client_hello_offers_can_be_judged() {
    let mut world = World::new();
    let ran = sh(
        &world,
        "openssl s_client -connect only4.test:443 -servername only4.test -alpn h2,http/1.1 </dev/null 2>&1; true",
    );
    assert!(!ran.stdout.contains("BEGIN CERTIFICATE"), "{ran}");
    ran.check_one_refusal("connect", "block-old-protocol", "blocked_by_rule");
    let ran = sh(
        &world,
        "openssl s_client -connect only4.test:443 -servername only4.test -alpn http/1.1 </dev/null 2>&1; true",
    );
    assert!(ran.stdout.contains("BEGIN CERTIFICATE"), "{ran}");
    let alpn: Vec<Vec<String>> = world
        .events()
        .into_iter()
        .filter_map(|event| if let Event::Tls { alpn, .. } = event { Some(alpn) } else { None })
        .collect();
    assert_eq!(alpn, [["http/1.1"]]);
}

#[test]
fn refused_by_port_and_by_resolved_address() {
    for way in WAYS {
        let mut world = World::new();
        let ran = sh(&world, &format!("curl {way} -sS https://allowed.test:8443/ 2>&1; true"));
        ran.check_one_refusal("connect", "allow-tls", "port_not_open");
        world.check_only_reached(&[]);
    }
    for name in ["private.test", "sni-only.wild.test"] {
        let mut world = World::new();
        let ran = sh(&world, &format!("curl -sS https://{name}/ 2>&1; true"));
        let (rule, reason) = if name == "private.test" {
            ("allow-private-name", "private_address")
        } else {
            ("default", "no_rule_allows")
        };
        ran.check_one_refusal("connect", rule, reason);
        world.check_only_reached(&[]);
    }
}

#[test]
fn an_upstream_that_is_down_is_a_502_on_connect() {
    let world = World::new();
    let ran = sh(&world, "curl -sS -i https://down.test/ 2>&1; true");
    assert!(ran.stdout.contains("HTTP/1.1 502 "), "{ran}");
}

#[test]
fn ambiguous_connects_are_refused() {
    let mut world = World::new();
    let program = r#"
import os, socket, urllib.parse
proxy = urllib.parse.urlparse(os.environ["https_proxy"])
for head in ["CONNECT allowed.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n",
             "CONNECT allowed.test HTTP/1.1\r\nHost: allowed.test\r\n\r\n",
             "CONNECT user@allowed.test:443 HTTP/1.1\r\nHost: allowed.test:443\r\n\r\n",
             "CONNECT allowed.test:0443x HTTP/1.1\r\nHost: allowed.test:443\r\n\r\n",
             "CONNECT 2130706433:443 HTTP/1.1\r\nHost: 2130706433:443\r\n\r\n",
             "CONNECT 0x7f.1:443 HTTP/1.1\r\nHost: 0x7f.1:443\r\n\r\n",
             "CONNECT allowed.test:443 HTTP/1.1\nHost: allowed.test:443\n\n"]:
    s = socket.create_connection((proxy.hostname, proxy.port), 10)
    s.settimeout(10)
    s.sendall(head.encode())
    try:
        print(s.recv(4096)[9:12].decode())
    except OSError as error:
        print(error)
"#;
    let ran = Outcall::new(&world, RULES).python(program);
    assert_eq!(ran.stdout.lines().count(), 7, "{ran}");
    assert!(ran.stdout.lines().all(|line| line == "400" || line == "421"), "{ran}");
    assert_eq!(ran.refusals().len(), 7, "{ran}");
    assert_eq!(world.packets(), []);
}

#[test]
fn a_tunnel_carries_a_lot_both_ways_and_closes_in_halves() {
    let mut world = World::new();
    let ran = sh(
        &world,
        "for way in '' '--noproxy allowed.test'; do curl --http1.1 $way -sS https://allowed.test/bytes/5000000 | wc -c; head -c 3000000 /dev/zero | curl --http1.1 $way -sS --data-binary @- https://allowed.test/up; done",
    );
    assert_eq!(ran.stdout.matches("5000000\n").count(), 2, "{ran}");
    assert_eq!(ran.stdout.matches("with 3000000 bytes").count(), 2, "{ran}");
    assert_eq!(world.arrived().iter().filter(|line| line.starts_with("POST /up")).count(), 2);
}
