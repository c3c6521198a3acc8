//! `outcalld` on a host: agents in namespaces on its bridge, a real kernel, real clients, and what arrived at the internet.
#![cfg(test)]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use outcall_tests::fixtures::host::Host;
use outcall_tests::fixtures::world::end;
use outcall_tests::fixtures::zone;

const RULES: &str = r#"
version: "1"
rules:
  - { id: web, action: allow, condition: 'http.host == "allowed.test"' }
  - { id: echo, action: allow, condition: 'dns.query == "other.test"', egress: { mode: direct_ip, ports: [7000] } }
  - { id: ping, action: allow, condition: 'network.ip == "93.184.216.35" && network.protocol == "icmp" && agent.name == "worker"', egress: { mode: direct_ip } }
"#;

/// Waits until `so` holds, and fails when it never does.
#[track_caller]
fn eventually(what: &str, so: impl Fn() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < Duration::from_secs(20), "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// How many packets a named counter has seen.
fn counter_of(host: &Host, family: &str, name: &str) -> u64 {
    let told = host.sh(&format!("nft -j list counter {family} outcall {name}"));
    let count = told.split("\"packets\": ").nth(1).and_then(|rest| rest.split(',').next()).map(str::trim);
    count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{told}"))
}

/// How often the daemon found its tables changed by somebody else.
fn restored(host: &Host) -> usize {
    host.audit().iter().filter(|line| line["event"] == "tables_restored").count()
}

#[test]
fn an_agent_reaches_what_the_policy_says_and_nothing_else() {
    let mut host = Host::new(RULES);
    let agent = host.attach("worker-1");
    // By the proxy's address, through the redirection, in the clear and in TLS, over both IP versions.
    for script in [
        "curl -sS --max-time 10 http://allowed.test/a",
        "curl -sS --max-time 10 -x http://10.200.0.1:8080 http://allowed.test/b",
        "curl -sS --max-time 10 -x http://10.200.0.1:8080 https://allowed.test/c",
        "curl -4 -sS --max-time 10 https://allowed.test/d",
        "curl -6 -sS --max-time 10 https://allowed.test/e",
    ] {
        let ran = host.agent_sh(&agent, script);
        assert!(ran.stdout.contains("saw GET"), "{script}: {ran}\n{}", host.said());
    }
    // A direct address only for the name that leads there, at the rule's port, over UDP too.
    let direct = host.agent_sh(&agent, "printf hello | nc -N -w 5 other.test 7000");
    assert_eq!(direct.stdout, "hello", "{direct}");
    let udp = host.agent_sh(&agent, "printf datagram | nc -u -w 2 other.test 7000");
    assert_eq!(udp.stdout, "datagram", "{udp}");
    assert_eq!(host.agent_sh(&agent, "ping -c 1 -W 5 93.184.216.35").status, 0);
    let before = host.world.arrived().len();
    for script in [
        "curl -sS --max-time 5 http://evil.test/",
        "curl -sS --max-time 5 https://evil.test/",
        "curl -sS --max-time 5 http://93.184.216.34/",
        "printf x | nc -N -w 3 93.184.216.34 7000",
        "printf x | nc -u -w 1 93.184.216.34 123",
        "printf x | nc -u -w 1 93.184.216.53 443",
        "ping -c 1 -W 1 93.184.216.34",
        "curl -sS --max-time 3 http://169.254.169.254/latest/",
        "dig +time=2 +tries=1 @93.184.216.53 evil.test",
        "dig +tcp +time=2 +tries=1 @93.184.216.53 evil.test",
        "curl -sS --max-time 3 http://10.200.0.1:9/",
        "curl -sS --max-time 3 http://93.184.215.2/",
    ] {
        host.agent_sh(&agent, script);
    }
    let after = host.world.arrived();
    assert_eq!(after.len(), before, "{after:?}");
    assert!(!host.world.queries().iter().any(|query| query.starts_with("evil")), "no refused name left");
    host.world.check_only_reached(&[
        (zone::CDN_V4.into(), 80),
        (zone::CDN_V4.into(), 443),
        (zone::CDN_V6.into(), 80),
        (zone::CDN_V6.into(), 443),
        (zone::OTHER_V4.into(), zone::ECHO_PORT),
        (zone::OTHER_V4.into(), 0),
        (zone::OTHER_V6.into(), zone::ECHO_PORT),
    ]);
    let refusals = host.refusals("worker");
    assert!(refusals.len() >= 12, "{refusals:?}");
}

#[test]
fn agents_are_who_they_are_and_never_reach_each_other() {
    let host = Host::new(RULES);
    let (one, other) = (host.attach("one"), host.attach("other"));
    let ports = host.sh("bridge -d link show");
    assert_eq!(ports.matches("isolated on").count(), 2, "the bridge itself passes nothing on: {ports}");
    // A server of one agent's, which the other never reaches, at either of its addresses; nor by its hardware address.
    let mut server = host.agent_command(&one, 60);
    let mut serving = server.args(["python3", "-m", "http.server", "--bind", "::", "8000"]).spawn().unwrap();
    for script in [
        "curl -sS --max-time 3 http://10.200.0.2:8000/",
        "curl -sS --max-time 3 'http://[fd6f:7574:6361:6c6c::2]:8000/'",
        "ip neigh replace 10.200.0.2 lladdr 02:6f:0a:c8:00:02 dev eth0; ping -c 1 -W 1 10.200.0.2",
        "ip neigh replace fd6f:7574:6361:6c6c::2 lladdr 02:6f:0a:c8:00:02 dev eth0; ping -c 1 -W 1 fd6f:7574:6361:6c6c::2",
    ] {
        let ran = host.agent_sh(&other, script);
        assert_ne!(ran.status, 0, "{script}: {ran}");
    }
    end(&mut serving);
    let reasons = |wanted: &str| {
        let audit = host.audit().into_iter();
        audit.filter(|it| it["agent"] == "other" && it["reason"] == wanted).collect::<Vec<_>>()
    };
    eventually("what is for another agent leaves a record of who sent it", || {
        reasons("agent_to_agent").iter().any(|it| it["request"]["network"]["ip"] == "10.200.0.2")
    });
    // Another's address, in its place or beside the own, or another's hardware address, gives nothing.
    for script in [
        "ip addr add 10.200.0.2/16 dev eth0; curl -sS --max-time 3 --interface 10.200.0.2 http://10.200.0.1:8080/",
        "ip addr add 10.200.9.9/16 dev eth0; curl -sS --max-time 3 --interface 10.200.9.9 http://10.200.0.1:8080/",
        "ip addr add 192.168.7.7/32 dev eth0; curl -sS --max-time 3 --interface 192.168.7.7 http://10.200.0.1:8080/",
        "ip link set eth0 address 02:6f:0a:c8:00:02; ip neigh flush all; curl -sS --max-time 3 http://10.200.0.1:8080/",
    ] {
        let ran = host.agent_sh(&other, script);
        assert_ne!(ran.status, 0, "{script}: {ran}");
    }
    for (counter, reason, least) in [("forged", "forged_source", 4), ("between_agents", "agent_to_agent", 1)] {
        let counted = || counter_of(&host, "bridge", counter);
        assert!(counted() >= least, "{counter}: {}", counted());
        eventually("each of these frames has a record", || reasons(reason).len() as u64 == counted());
    }
    let from: BTreeSet<String> = reasons("forged_source")
        .iter()
        .map(|it| it["request"]["from"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert!(from.contains("10.200.0.2"), "{from:?}");
    assert!(host.refusals("one").is_empty(), "nobody speaks as another: {:?}", host.refusals("one"));
}

#[test]
fn a_flood_of_refused_packets_is_told_of_in_full() {
    let host = Host::new(RULES);
    let agent = host.attach("worker");
    let script = "import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(3000):
    try:
        s.sendto(b'x', ('93.184.216.34', 123))
    except OSError:
        pass";
    let ran = host.agent_sh(&agent, &format!("python3 -c \"{script}\""));
    assert_eq!(ran.status, 0, "{ran}");
    let counted = || counter_of(&host, "inet", "refused");
    // Each packet has a record, or is one of those that a record has the number of.
    let told = || {
        let refusals = host.audit().into_iter().filter(|it| it["layer"] == "network");
        let packets: Vec<Option<u64>> =
            refusals.map(|it| it["request"]["packets"].as_str().and_then(|text| text.parse().ok())).collect();
        let alone = packets.iter().filter(|packets| packets.is_none()).count() as u64;
        (alone, packets.into_iter().flatten().sum::<u64>())
    };
    eventually("the records are of as many packets as were counted", || {
        let (alone, together) = told();
        alone + together == counted()
    });
    let (alone, together) = told();
    assert!(alone >= 200 && together >= 1000, "{alone} {together}");
}

#[test]
fn invariant_9_a_new_policy_cuts_what_it_does_not_allow_within_a_second() {
    let host = Host::new(RULES);
    let agent = host.attach("worker");
    let command = |script: &str| {
        let mut command = host.agent_command(&agent, 60);
        command.args(["sh", "-c", script]).stdout(std::process::Stdio::piped()).spawn().unwrap()
    };
    // A connection that the kernel carries, and an idle one through the proxy; both would last a minute.
    let mut direct = command("(echo begin; sleep 50) | nc -w 50 other.test 7000; echo ended");
    eventually("the echo is connected", || {
        !host.sh("nft -j list counter inet outcall rule_echo").contains("\"packets\": 0")
    });
    host.compile(
        "version: \"1\"\nrules:\n  - { id: web, action: allow, condition: 'http.host == \"allowed.test\"' }\n",
    );
    let reloaded = host.outcall(&["rules", "reload", "--artifacts"]);
    assert_eq!(reloaded.status, 0, "{reloaded}");
    let began = Instant::now();
    // What the agent sends next is answered with a reset.
    let sent = host.agent_sh(&agent, "printf more | nc -N -w 3 93.184.216.35 7000");
    assert_eq!(sent.stdout, "", "{sent}");
    assert!(began.elapsed() < Duration::from_secs(10));
    end(&mut direct);
    assert!(host.agent_sh(&agent, "curl -sS --max-time 10 https://allowed.test/").stdout.contains("saw GET"));
    assert_eq!(restored(&host), 0, "what the daemon changes itself is not taken for somebody else's");
}

#[test]
fn tables_that_are_flushed_are_put_back_and_nothing_leaves_meanwhile() {
    let mut host = Host::new(RULES);
    let agent = host.attach("worker");
    for harm in [
        "nft flush ruleset",
        "nft delete table inet outcall",
        "nft delete table bridge outcall",
        "nft flush chain inet outcall forward",
        "nft flush set inet outcall special_v4",
        "nft flush set bridge outcall pinned_v4",
        "nft add rule inet outcall forward accept",
        "nft insert rule inet outcall first accept",
        "nft 'add table inet outcall { flags dormant; }'",
    ] {
        let intact = || host.outcall(&["bridge", "status", "--json"]).stdout.contains("\"nftables\": true");
        eventually("the tables are intact", intact);
        host.sh(harm);
        let began = Instant::now();
        eventually(harm, || intact() && host.sh("nft list ruleset").contains("policy drop"));
        assert!(began.elapsed() < Duration::from_secs(3), "{harm} took {:?}", began.elapsed());
        assert!(
            host.agent_sh(&agent, "curl -sS --max-time 10 http://allowed.test/").stdout.contains("saw GET"),
            "{harm}"
        );
        assert_ne!(host.agent_sh(&agent, "printf x | nc -N -w 1 93.184.216.34 7000").stdout, "x", "{harm}");
    }
    host.world.check_only_reached(&[(zone::CDN_V4.into(), 80), (zone::CDN_V6.into(), 80)]);
    assert_eq!(restored(&host), 9);
}

#[test]
fn what_the_daemon_leaves_behind_is_closed() {
    let mut host = Host::new(RULES);
    let agent = host.attach("worker");
    assert!(host.agent_sh(&agent, "curl -sS --max-time 10 http://allowed.test/").stdout.contains("saw GET"));
    for signal in ["TERM", "KILL"] {
        host.signal(signal);
        host.ended();
        let before = host.world.packets();
        for script in [
            "curl -sS --max-time 2 http://allowed.test/",
            "curl -sS --max-time 2 http://93.184.216.34/",
            "printf x | nc -u -w 1 93.184.216.35 7000",
            "dig +time=1 +tries=1 @93.184.216.53 allowed.test",
        ] {
            let ran = host.agent_sh(&agent, script);
            assert!(!ran.stdout.contains("saw GET"), "{signal} {script}: {ran}");
        }
        assert_eq!(host.world.packets(), before, "nothing left after {signal}");
        host.start();
    }
}
