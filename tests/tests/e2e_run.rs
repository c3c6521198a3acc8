//! `outcall run` end to end: exit status, signals, what the agent finds inside, who may start it, and that there is no way
//! out of it.
#![cfg(test)]

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use outcall_tests::fixtures::{Outcall, Ran, User, World, zone};

const RULES: &str = r#"
version: "1"
rules:
  - id: allow-web
    condition: http.host == "allowed.test"
    action: allow
  - id: allow-one-agent
    condition: http.host == "other.test" && agent.name == "ci"
    action: allow
"#;

const USERS: [User; 2] = [User::Caller, User::Nobody];

#[test]
fn the_exit_status_is_the_commands() {
    let world = World::new();
    for status in [0, 1, 7, 42, 255] {
        let ran = Outcall::new(&world, RULES).sh(&format!("exit {status}"));
        assert_eq!(ran.status, status, "{ran}");
    }
    let ran = Outcall::new(&world, RULES).sh("kill -TERM $$");
    assert_eq!(ran.status, 128 + 15, "{ran}");
    let ran = Outcall::new(&world, RULES).sh("kill -KILL $$");
    assert_eq!(ran.status, 128 + 9, "{ran}");
    // As a shell says it: not found, and not executable.
    let ran = Outcall::new(&world, RULES).run(&["no-such-program-anywhere"]);
    assert_eq!(ran.status, 127, "{ran}");
    let ran = Outcall::new(&world, RULES).run(&["/etc/passwd"]);
    assert_eq!(ran.status, 126, "{ran}");
}

#[test]
fn signals_reach_the_command() {
    let world = World::new();
    for (signal, status) in [("TERM", 10), ("INT", 11), ("HUP", 12), ("USR1", 13)] {
        let outcall = Outcall::new(&world, RULES);
        let log = outcall.log();
        let script = format!("trap 'exit {status}' {signal}; echo ready; while :; do sleep 0.1; done");
        let mut child = outcall
            .command(&log)
            .args(["sh", "-c", &script])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        // timeout(1) starts nsenter in a process group of its own and execs the rest, so that its child is `outcall`.
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).unwrap();
        let outcall_pid = children.split_whitespace().next().unwrap().to_owned();
        let killed = std::process::Command::new("kill").args(["-s", signal, &outcall_pid]).status().unwrap();
        assert!(killed.success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{signal}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn standard_streams_arguments_and_directory_are_the_callers() {
    let world = World::new();
    let ran = Outcall::new(&world, RULES).sh_with_input("cat; echo to-stderr >&2", "from stdin\n");
    assert_eq!(ran.stdout, "from stdin\n", "{ran}");
    assert!(ran.stderr.contains("to-stderr\n"), "{ran}");
    let ran = Outcall::new(&world, RULES).run(&["printf", "[%s]", "a b", "", "*", "$HOME"]);
    assert_eq!(ran.stdout, "[a b][][*][$HOME]", "{ran}");
    let ran = Outcall::new(&world, RULES).env("MARK", "kept").sh("pwd; echo $MARK");
    assert_eq!(ran.stdout, format!("{}\nkept\n", world.dir().display()), "{ran}");
}

#[test]
fn everybody_may_start_it_and_is_still_oneself_inside() {
    for user in USERS {
        let mut world = World::new();
        let ran = Outcall::new(&world, RULES)
            .user(user)
            .sh("curl -sS http://allowed.test/ok; curl -sS http://other.test/no; id -u");
        assert!(ran.stdout.contains("saw GET /ok for allowed.test"), "{user:?}\n{ran}");
        assert!(ran.stdout.contains("Blocked by outcall: default"), "{user:?}\n{ran}");
        assert_eq!(world.arrived(), ["GET /ok allowed.test"]);
    }
}

#[test]
fn the_agent_finds_the_filter_and_the_proxy() {
    let world = World::new();
    for user in USERS {
        let ran = Outcall::new(&world, RULES).user(user).sh(
            "cat /etc/resolv.conf; env | grep -i proxy | sort; ip -brief link; nft list ruleset; cat /proc/self/status",
        );
        assert!(ran.stdout.contains("nameserver "), "{ran}");
        assert!(!ran.stdout.contains(&zone::DNS_V4.to_string()), "the agent is not told the upstream: {ran}");
        for name in ["http_proxy=http://", "https_proxy=http://", "HTTPS_PROXY=http://"] {
            assert!(ran.stdout.contains(name), "{name}\n{ran}");
        }
        assert!(!ran.stdout.contains("up0"), "only the sandbox's own interfaces are there: {ran}");
        // No capability over anything.
        let effective = ran.stdout.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap_or_default();
        assert!(effective.trim().chars().all(|c| c == '0'), "{user:?}\n{ran}");
        assert!(ran.stdout.contains("NoNewPrivs:\t1"), "{user:?}\n{ran}");
    }
}

#[test]
fn the_agents_name_decides_and_is_the_operators() {
    let mut world = World::new();
    let ran = Outcall::new(&world, RULES).agent("ci").sh("curl -sS http://other.test/in");
    assert!(ran.stdout.contains("saw GET /in"), "{ran}");
    let ran = Outcall::new(&world, RULES).agent("other").sh("curl -sS -H 'X-Agent: ci' http://other.test/out");
    assert!(ran.stdout.contains("Blocked by outcall"), "{ran}");
    let record = ran.check_one_refusal("http", "default", "no_rule_allows");
    assert_eq!(record.get("agent").and_then(|it| it.as_str()), Some("other"));
    assert_eq!(world.arrived(), ["GET /in other.test"]);
}

#[test]
fn an_agent_without_a_name_is_called_like_its_command() {
    let mut world = World::new();
    let rules = RULES.replace("\"ci\"", "\"curl\"");
    let ran = Outcall::new(&world, &rules).run(&["/usr/bin/curl", "-sS", "http://other.test/in"]);
    assert!(ran.stdout.contains("saw GET /in"), "{ran}");
    assert!(ran.stderr.contains("agent `curl`"), "{ran}");
    // What the command starts changes nothing.
    let ran = Outcall::new(&world, &rules).sh("curl -sS http://other.test/out");
    assert!(!ran.stdout.contains("saw"), "{ran}");
    assert_eq!(ran.refusals().first().and_then(|it| it.get("agent")?.as_str()), Some("sh"), "{ran}");
    assert_eq!(world.arrived(), ["GET /in other.test"]);
}

#[test]
fn the_agent_cannot_change_or_leave_the_sandbox() {
    for user in USERS {
        let mut world = World::new();
        let script = "nft flush ruleset; nft add table inet x; ip link add dummy0 type dummy; ip addr add 10.1.1.1/24 dev lo; ip route add default dev lo; \
             iptables -F; sysctl -w net.ipv4.ip_forward=1; \
             for p in /proc/[0-9]*/ns/net; do nsenter --net=$p curl -m 3 -sS http://93.184.216.34/escaped; done; \
             for p in /proc/[0-9]*; do nsenter --target ${p#/proc/} --user --net curl -m 3 -sS http://93.184.216.34/escaped; done; \
             unshare --user --map-root-user nft flush ruleset; \
             unshare --user --map-root-user --net curl -m 3 -sS http://93.184.216.34/escaped; \
             unshare --user --map-root-user sh -c 'ip link add d type dummy'; \
             curl --noproxy '*' -m 5 -sS -H 'Host: evil.test' http://93.184.216.34/escaped; true";
        let ran = Outcall::new(&world, RULES).user(user).sh(script);
        assert!(!ran.stdout.contains("saw GET"), "{user:?}\n{ran}");
        assert_eq!(world.arrived(), Vec::<String>::new(), "{user:?}\n{ran}");
        world.check_only_reached(&[]);
    }
}

#[test]
fn killing_what_guards_the_sandbox_opens_nothing() {
    for user in USERS {
        let mut world = World::new();
        let script = "for p in $(ls /proc | grep -E '^[0-9]+$'); do case $(cat /proc/$p/comm 2>/dev/null) in outcall*) kill -KILL $p;; esac; done; \
             curl --noproxy '*' -m 3 -sS http://93.184.216.34/escaped; curl -m 3 -sS -k https://93.184.216.34/escaped; \
             printf x | nc -u -w 1 93.184.216.34 7000; dig +tries=1 +time=2 @93.184.216.53 evil.test; ping -c 1 -W 1 93.184.216.34; true";
        let ran = Outcall::new(&world, RULES).user(user).sh(script);
        assert!(!ran.stdout.contains("saw GET"), "{user:?}\n{ran}");
        // The script may die with its guards; what it left running, if anything, must not get out either.
        assert_eq!(world.arrived(), Vec::<String>::new(), "{user:?}\n{ran}");
        assert_eq!(world.packets(), [], "{user:?}\n{ran}");
    }
}

#[test]
fn nothing_is_left_behind() {
    let world = World::new();
    let ran = Outcall::new(&world, RULES).sh("sleep 300 & curl -sS http://allowed.test/ok; exit 3");
    assert_eq!(ran.status, 3, "{ran}");
    // The background process of the agent ended with the sandbox.
    let own = world.dir().display().to_string();
    let left: Vec<String> = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("cmdline")).ok())
        .filter(|line| line.contains(&own) && !line.contains("outcall-world"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn the_summary_says_what_was_reached_and_what_was_refused_by_rule() {
    let world = World::new();
    let ran: Ran = Outcall::new(&world, RULES)
        .sh("curl -sS http://allowed.test/ok; curl -sS http://other.test/; dig +short unknown.test");
    assert!(ran.stderr.contains("allow-web") && ran.stderr.contains("allowed.test"), "{ran}");
    assert!(ran.stderr.contains("default") && ran.stderr.contains("other.test"), "{ran}");
    assert!(ran.stderr.lines().count() <= 50, "one screen: {ran}");
}

#[test]
fn two_sandboxes_at_a_time_do_not_meet() {
    let mut world = World::new();
    let first = Outcall::new(&world, RULES).agent("ci");
    let log = first.log();
    let mut child = first
        .command(&log)
        .args(["sh", "-c", "echo ready; read line; curl -sS http://other.test/first"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    let second = Outcall::new(&world, RULES).agent("other").sh("curl -sS http://other.test/second");
    assert!(second.stdout.contains("Blocked by outcall"), "{second}");
    drop(child.stdin.take());
    line.clear();
    output.read_line(&mut line).unwrap();
    assert!(line.contains("saw GET /first"), "{line}");
    child.wait().unwrap();
    assert_eq!(world.arrived(), ["GET /first other.test"]);
}

#[test]
fn the_ports_of_the_filter_and_the_proxy_are_taken_for_the_agent() {
    let mut world = World::new();
    let program = r#"
import os, socket
for family, own, every in ((socket.AF_INET, "127.0.0.1", "0.0.0.0"), (socket.AF_INET6, "::1", "::")):
    for address in (own, every):
        for kind, port in ((socket.SOCK_STREAM, 61080), (socket.SOCK_STREAM, 53), (socket.SOCK_DGRAM, 53)):
            with socket.socket(family, kind) as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                try:
                    s.bind((address, port))
                    if kind == socket.SOCK_STREAM:
                        s.listen()
                    print("bound", address, port)
                except OSError as error:
                    pass
os.execvp("curl", ["curl", "-sS", "http://other.test/", "http://allowed.test/still"])
"#;
    let ran = Outcall::new(&world, RULES).agent("x").python(program);
    assert!(!ran.stdout.contains("bound"), "{ran}");
    assert!(ran.stdout.contains("Blocked by outcall: default") && ran.stdout.contains("saw GET /still"), "{ran}");
    assert_eq!(world.arrived(), ["GET /still allowed.test"]);
}
