//! Traffic that is neither a name nor a request: bare addresses, UDP, ICMP, raw sockets. nc, ping and Python inside, the
//! kernel's packet counts outside.
#![cfg(test)]

use std::time::{Duration, Instant};

use outcall_tests::fixtures::{Outcall, Ran, World, zone};

const RULES: &str = r#"
version: "1"
rules:
  - id: block-neighbour
    condition: network.ip == "93.184.216.34" && network.port == 7000
    action: block
    priority: 10
  - id: allow-web
    condition: http.host == "allowed.test"
    action: allow
"#;

#[track_caller]
fn sh(world: &World, script: &str) -> (Ran, Duration) {
    let began = Instant::now();
    let ran = Outcall::new(world, RULES).sh(script);
    (ran, began.elapsed())
}

/// The reject is immediate: clients fail in milliseconds, not when they lose patience.
const AT_ONCE: Duration = Duration::from_secs(8);

#[test]
fn a_bare_address_is_refused_at_once_in_both_families() {
    for address in [zone::OTHER_V4.to_string(), zone::OTHER_V6.to_string()] {
        let mut world = World::new();
        let (ran, took) = sh(&world, &format!("printf hello | nc -w 20 {address} 7000; echo ended $?"));
        assert!(!ran.stdout.contains("hello"), "{ran}");
        assert!(took < AT_ONCE, "{took:?}\n{ran}");
        assert_eq!(ran.refusals().len(), 1, "{ran}");
        assert_eq!(world.packets(), []);
    }
}

#[test]
fn a_block_rule_on_an_address_is_named() {
    let mut world = World::new();
    let (ran, _) = sh(&world, "printf hello | nc -w 20 93.184.216.34 7000; true");
    ran.check_one_refusal("network", "block-neighbour", "blocked_by_rule");
    assert_eq!(world.packets(), []);
}

#[test]
fn udp_is_refused_at_once_in_both_families() {
    for (family, address) in [("AF_INET", zone::CDN_V4.to_string()), ("AF_INET6", zone::CDN_V6.to_string())] {
        let mut world = World::new();
        let program = format!(
            r#"
import socket, time
for port in (123, 443, 7000, 5353):
    s = socket.socket(socket.{family}, socket.SOCK_DGRAM)
    s.settimeout(20)
    began = time.monotonic()
    try:
        s.connect(("{address}", port))
        s.send(b"hello")
        s.recv(10)
        print("answered")
    except OSError as error:
        print("refused" if time.monotonic() - began < 2 else "late", type(error).__name__)
"#
        );
        let ran = Outcall::new(&world, RULES).python(&program);
        assert_eq!(ran.stdout.lines().count(), 4, "{ran}");
        assert!(ran.stdout.lines().all(|line| line.starts_with("refused ")), "{ran}");
        assert_eq!(world.packets(), []);
    }
}

#[test]
fn ping_is_refused_at_once_in_both_families() {
    for address in [zone::CDN_V4.to_string(), zone::CDN_V6.to_string()] {
        let mut world = World::new();
        let (ran, took) = sh(&world, &format!("ping -c 1 -W 20 {address}; echo ended $?"));
        assert!(!ran.stdout.contains("ended 0"), "{ran}");
        assert!(took < AT_ONCE, "{took:?}\n{ran}");
        assert_eq!(world.packets(), []);
    }
}

#[test]
fn no_kind_of_socket_gets_out() {
    let mut world = World::new();
    let program = r#"
import socket
v4, v6 = "93.184.216.34", "2606:2800:220:1::34"
def attempt(name, make):
    try:
        s = make()
        s.settimeout(2)
        for where in ((v4, 7000), ("10.99.0.7", 7000), ("169.254.169.254", 80), ("255.255.255.255", 9), ("224.0.0.251", 5353)):
            try:
                s.sendto(b"hello", where if s.family == socket.AF_INET else ("::ffff:" + where[0], where[1]))
            except OSError:
                pass
        if s.family == socket.AF_INET6:
            for where in (v6, "fd00:99::7", "ff02::fb", "fe80::1"):
                try:
                    s.sendto(b"hello", (where, 7000))
                except OSError:
                    pass
        print(name, "made")
    except OSError as error:
        print(name, "no")
SCTP, UDPLITE = 132, 136
for family, tag in ((socket.AF_INET, "4"), (socket.AF_INET6, "6")):
    attempt("udp" + tag, lambda: socket.socket(family, socket.SOCK_DGRAM))
    attempt("raw" + tag, lambda: socket.socket(family, socket.SOCK_RAW, 255))
    attempt("icmp" + tag, lambda: socket.socket(family, socket.SOCK_RAW, 1))
    attempt("sctp" + tag, lambda: socket.socket(family, socket.SOCK_DGRAM, SCTP))
    attempt("udplite" + tag, lambda: socket.socket(family, socket.SOCK_DGRAM, UDPLITE))
attempt("packet", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 768))
"#;
    let ran = Outcall::new(&world, RULES).python(program);
    assert!(
        ran.stdout.contains("packet no") && ran.stdout.contains("raw4 no") && ran.stdout.contains("raw6 no"),
        "{ran}"
    );
    assert_eq!(world.packets(), []);
}

#[test]
fn what_speaks_first_or_nothing_is_no_way_through() {
    let mut world = World::new();
    // A protocol that is neither TLS nor HTTP on the web's port.
    let (ran, _) = sh(&world, "printf 'SSH-2.0-x\\r\\n' | nc -N -w 5 allowed.test 80; true");
    assert_eq!(ran.refusals().len(), 1, "{ran}");
    assert_eq!(world.arrived(), Vec::<String>::new());
    world.check_only_reached(&[]);
}

#[test]
fn the_loopback_of_the_sandbox_is_the_agents_own_and_not_the_hosts() {
    let mut world = World::new();
    // A listener of the host's that the agent must not reach, and one of its own that it may.
    let mut host = world
        .command("nc", 60)
        .args(["-l", "-N", "127.0.0.1", "9911"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let program = r#"
import socket, threading
listener = socket.create_server(("127.0.0.1", 0))
def serve():
    peer, _ = listener.accept()
    peer.sendall(b"mine")
    peer.close()
threading.Thread(target=serve, daemon=True).start()
print(socket.create_connection(listener.getsockname(), 5).recv(10).decode())
for port in (9911,):
    try:
        s = socket.create_connection(("127.0.0.1", port), 5)
        s.settimeout(5)
        print(s.recv(10).decode())
    except OSError:
        print("refused")
"#;
    let ran = Outcall::new(&world, RULES).python(program);
    // timeout(1) passes the signal on, which it could not with a signal that kills it.
    let killed = std::process::Command::new("kill").arg(host.id().to_string()).status().unwrap();
    assert!(killed.success() && host.wait().is_ok());
    assert_eq!(ran.stdout, "mine\nrefused\n", "{ran}");
    assert_eq!(world.packets(), []);
}
