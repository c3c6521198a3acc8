//! `outcall ps`, `logs`, `stop` and `daemon` where there is neither Docker nor systemd.

use std::path::Path;

use outcall_tests::fixtures::host::Host;
use serde_json::Value;

use super::{check_closed, policy};

#[test]
fn agents_are_listed_whatever_they_are_and_what_is_no_container_is_not_stopped() {
    let host = Host::new(&policy("a"));
    assert!(host.outcall(&["ps"]).stdout.contains("There are no agents."));
    let _agent = host.attach("worker-1");
    let listed: Value = serde_json::from_str(&host.outcall(&["ps", "--json"]).stdout).unwrap();
    let row = &listed[0];
    assert_eq!((&row["name"], &row["agent"], &row["kind"]), (&"worker-1".into(), &"worker".into(), &"netns".into()));
    assert_eq!((&row["state"], &row["guarded"]), (&"attached".into(), &true.into()));
    for command in ["stop", "logs"] {
        let ran = host.outcall(&[command, "worker-1"]);
        assert!(ran.status == 1 && ran.stderr.contains("is no container but a network namespace"), "{ran}");
        let ran = host.outcall(&[command, "nobody"]);
        assert!(ran.status == 6 && ran.stderr.contains("--no-docker"), "{ran}");
    }
    assert!(host.outcall(&["ps"]).stdout.contains("worker-1"));
}

#[test]
fn the_daemon_is_stopped_by_its_socket_and_its_state_is_said() {
    let mut host = Host::new(&policy("a"));
    let agent = host.attach("worker");
    let status = host.outcall(&["daemon", "status"]);
    assert!(status.status == 0 && status.stdout.contains("runs, and guards"), "{status}");
    let status: Value = serde_json::from_str(&host.outcall(&["daemon", "status", "--json"]).stdout).unwrap();
    assert_eq!((&status["running"], &status["ready"]), (&true.into(), &true.into()));
    assert_eq!(status["pid"], host.curl("/api/v1/health")["data"]["pid"]);
    let started = host.outcall(&["daemon", "start"]);
    assert!(started.status == 0 && started.stdout.contains("runs"), "it runs already: {started}");
    if Path::new("/run/systemd/system").exists() {
        eprintln!("skipped: systemd runs here, and its units are not this test's");
        return;
    }
    let logs = host.outcall(&["daemon", "logs"]);
    assert!(logs.status == 1 && logs.stderr.contains("no systemd runs here"), "{logs}");
    let stopped = host.outcall(&["daemon", "stop"]);
    assert!(stopped.status == 0 && stopped.stdout.contains("Stopped outcalld"), "{stopped}");
    assert_eq!(host.ended(), Some(0));
    check_closed(&mut host, &agent);
    for command in ["stop", "status"] {
        let ran = host.outcall(&["daemon", command]);
        assert!(ran.status == 1 && ran.to_string().contains("is it running?"), "{command}: {ran}");
    }
    let started = host.outcall(&["daemon", "start"]);
    assert!(started.status == 1 && started.stderr.contains("outcalld --config"), "{started}");
}
