//! A host on which things go wrong: disks that are full, locked or gone, a clock that jumps, names, networks and ports that
//! are taken, and whatever may stand in the place of Docker's engine. Nothing opens for it, and it is said what is wrong.
#![cfg(test)]

mod clock;
mod commands;
mod disks;
mod grants;
mod log;
mod names;
mod sockets;

use std::time::{Duration, Instant};

use outcall_tests::fixtures::host::{Agent, Host};
use outcall_tests::fixtures::outcall::Ran;

/// Two policies that let the same pass, and whose refusals tell which of them it was.
fn policy(name: &str) -> String {
    format!(
        "version: \"1\"\nrules:\n  - {{ id: {name}-no, action: block, condition: 'http.path == \"/no\"' }}\n  - {{ id: {name}-web, action: allow, condition: 'http.host == \"allowed.test\"' }}\n"
    )
}

/// Waits until `so` holds, and fails when it never does.
#[track_caller]
fn eventually(what: &str, so: impl Fn() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < Duration::from_secs(30), "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The rule by which the policy in force refuses the agent.
#[track_caller]
fn refused_by(host: &Host, agent: &Agent) -> String {
    let ran = host.agent_sh(agent, "curl -s --max-time 10 -D - -x http://10.200.0.1:8080 http://allowed.test/no");
    let reason = ran.stdout.lines().find_map(|line| line.strip_prefix("X-Outcall-Block-Reason: "));
    reason.unwrap_or_else(|| panic!("{ran}\n{}", host.said())).trim().to_owned()
}

/// The agent's request for what both policies allow.
fn asked(host: &Host, agent: &Agent) -> Ran {
    host.agent_sh(agent, "curl -sS --max-time 20 http://allowed.test/yes")
}

/// Whether the agent gets what both policies allow.
fn served(host: &Host, agent: &Agent) -> bool {
    asked(host, agent).stdout.contains("saw GET")
}

/// Checks that the agent gets what both policies allow.
#[track_caller]
fn check_served(host: &Host, agent: &Agent) {
    let ran = asked(host, agent);
    assert!(ran.stdout.contains("saw GET"), "{ran}\n{}", host.said());
}

/// Whether nothing at all leaves for an agent.
#[track_caller]
fn check_closed(host: &mut Host, agent: &Agent) {
    let before = host.world.packets();
    for script in [
        "curl -sS --max-time 1 http://allowed.test/yes",
        "curl -sS --max-time 1 -x http://10.200.0.1:8080 http://allowed.test/yes",
        "curl -sS --max-time 1 http://93.184.216.34/",
        "dig +time=1 +tries=1 @93.184.216.53 allowed.test",
        "printf x | nc -u -w 1 93.184.216.35 7000",
    ] {
        let ran = host.agent_sh(agent, script);
        assert!(!ran.stdout.contains("saw") && !ran.stdout.contains("93.184.216.34\n"), "{script}: {ran}");
    }
    assert_eq!(host.world.packets(), before, "nothing left");
}

/// Ends the daemon.
#[track_caller]
fn stop(host: &mut Host) {
    host.signal("TERM");
    assert_eq!(host.ended(), Some(0), "{}", host.said());
}

/// Starts the daemon, which must end with what it says.
#[track_caller]
fn check_does_not_start(host: &mut Host, why: &str) {
    host.spawn();
    let said = host.ready().unwrap_err();
    assert!(said.contains(why), "{why}: {said}");
    assert_ne!(host.ended(), Some(0));
}
