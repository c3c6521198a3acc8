//! What the daemon of a host gives up once it has begun, and that all it does goes on without.
#![cfg(test)]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use outcall_tests::fixtures::host::Host;
use outcall_tests::fixtures::zone;

const ONE: &str = r#"
version: "1"
rules:
  - { id: web, action: allow, condition: 'http.host == "allowed.test"' }
"#;
const OTHER: &str = r#"
version: "1"
rules:
  - { id: nothing, action: block, condition: 'http.host == "allowed.test"' }
"#;
/// CAP_NET_BIND_SERVICE and CAP_NET_ADMIN (linux/capability.h).
const KEPT: u64 = 1 << 10 | 1 << 12;
/// An ordinary user of no name.
const USER: &str = "41234";

#[track_caller]
fn eventually(what: &str, so: impl Fn() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < Duration::from_secs(20), "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The daemon itself, which timeout(1) started.
fn process(host: &Host) -> PathBuf {
    let children = format!("/proc/{0}/task/{0}/children", host.pid());
    let child = std::fs::read_to_string(children).unwrap();
    PathBuf::from("/proc").join(child.trim())
}

/// A line of a status file.
fn line(status: &str, name: &str) -> String {
    let found = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    found.unwrap_or_else(|| panic!("no {name} in {status}")).trim().to_owned()
}

/// What each of the daemon's threads may do. A process that may not change its bounding set keeps that.
#[track_caller]
fn check_privileges(host: &Host, sets: &[&str]) {
    let process = process(host);
    let mut threads = 0;
    for thread in std::fs::read_dir(process.join("task")).unwrap() {
        let status = std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        for set in sets {
            let bits = u64::from_str_radix(&line(&status, set), 16).unwrap();
            assert_eq!(bits, KEPT, "{set} in {status}");
        }
        assert_eq!(line(&status, "NoNewPrivs"), "1");
        assert_eq!(line(&status, "Seccomp"), "2");
        threads += 1;
    }
    assert!(threads > 1, "workers have them too");
    let limits = std::fs::read_to_string(process.join("limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
}

/// Everything that the daemon does after its start.
#[track_caller]
fn check_works(host: &Host, name: &str) {
    let agent = host.attach(name);
    let fetched = || host.agent_sh(&agent, "curl -sS --max-time 10 https://allowed.test/").stdout.contains("saw GET");
    assert!(fetched(), "{}", host.said());
    let done = |arguments: &[&str]| {
        let ran = host.outcall(arguments);
        assert_eq!(ran.status, 0, "{arguments:?}: {ran}\n{}", host.said());
    };
    let socket = host.agent_socket();
    let checkin = host.agent_sh(&agent, &format!("outcall-agent --socket {} checkin --json", socket.display()));
    assert!(checkin.stdout.contains(&format!("\"name\":\"{name}\"")), "{checkin}\n{}", host.said());
    // By the operator's command, which has the daemon read its directory, and by the signal.
    host.compile(OTHER);
    done(&["rules", "reload", "--artifacts"]);
    assert!(!fetched());
    done(&["rules", "rollback"]);
    assert!(fetched(), "{}", host.said());
    host.compile(ONE);
    host.signal("HUP");
    eventually("the first policy is read again", || host.outcall(&["rules", "list"]).stdout.contains("web"));
    host.sh("nft flush ruleset");
    eventually("the tables are put back", || host.sh("nft list ruleset").contains("policy drop") && fetched());
    done(&["bridge", "down"]);
    done(&["bridge", "up"]);
    eventually("the bridge is back", fetched);
    done(&["netns", "detach", name]);
    eventually("a detached agent reaches nothing", || !fetched());
}

#[test]
fn two_capabilities_are_kept_and_everything_works_with_them() {
    let mut host = Host::new(ONE);
    check_privileges(&host, &["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]);
    check_works(&host, "of-root");
    host.signal("TERM");
    assert_eq!(host.ended(), Some(0));
    // The same without root, where there are users: given these two capabilities as a service manager does.
    if !host.sh("cat /proc/self/uid_map").contains("4294967295") {
        return;
    }
    let both = "+net_admin,+net_bind_service";
    host.sh(&format!(
        "chmod 755 {0} {1}; chown -R {USER}:{USER} {1}",
        host.world.dir().display(),
        host.dir().display()
    ));
    let (user, group) = (format!("--reuid={USER}"), format!("--regid={USER}"));
    let (inherited, ambient) = (format!("--inh-caps={both}"), format!("--ambient-caps={both}"));
    host.start_through(&["setpriv", &user, &group, "--clear-groups", &inherited, &ambient]);
    host.start();
    let status = std::fs::read_to_string(process(&host).join("status")).unwrap();
    assert!(line(&status, "Uid").starts_with(USER), "{status}");
    check_privileges(&host, &["CapInh", "CapPrm", "CapEff", "CapAmb"]);
    check_works(&host, "of-a-user");
    host.world.check_only_reached(&[
        (zone::CDN_V4.into(), 80),
        (zone::CDN_V4.into(), 443),
        (zone::CDN_V6.into(), 80),
        (zone::CDN_V6.into(), 443),
    ]);
}

#[test]
fn without_the_right_to_the_network_the_daemon_ends_and_says_so() {
    let mut host = Host::new(ONE);
    host.signal("TERM");
    host.ended();
    host.start_through(&["setpriv", "--bounding-set=-net_admin"]);
    host.spawn();
    let why = host.ready().unwrap_err();
    assert!(why.contains("Operation not permitted") || why.contains("CAP_NET_ADMIN"), "{why}");
}

#[test]
fn files_that_the_daemon_has_no_business_with_are_out_of_its_reach() {
    let host = Host::new(ONE);
    if host.said().contains("no Landlock") {
        return;
    }
    // A policy that is put beside the one before, as deployments do, is reached; one that a link leads away to is not.
    let dist = host.artifacts();
    let (beside, away) = (host.dir().join("dist.new"), tempfile::tempdir().unwrap());
    host.compile_to(OTHER, &beside);
    host.compile_to(ONE, away.path());
    host.sh(&format!("mv {0} {0}.old && mv {1} {0}", dist.display(), beside.display()));
    let ran = host.outcall(&["rules", "reload", "--artifacts"]);
    assert_eq!(ran.status, 0, "{ran}");
    host.sh(&format!("rm -r {0} && ln -s {1} {0}", dist.display(), away.path().display()));
    let ran = host.outcall(&["rules", "reload", "--artifacts"]);
    assert_ne!(ran.status, 0, "{ran}");
    assert!(ran.to_string().contains("ermission denied"), "{ran}");
    assert!(host.outcall(&["rules", "list"]).stdout.contains("nothing"), "the policy before is still in force");
}

#[test]
fn settings_come_from_a_file_and_the_kernel_can_be_closed_beforehand() {
    let mut host = Host::new(ONE);
    host.signal("TERM");
    host.ended();
    let file = host.dir().join("outcalld.toml");
    std::fs::write(&file, "bridge = \"agents9\"\nsubnet = \"10.77.0.0/16\"\n").unwrap();
    host.sh("nft flush ruleset");
    host.sh(&format!("outcalld close --config {}", file.display()));
    let closed = host.sh("nft list ruleset");
    assert!(closed.contains("agents9") && closed.contains("policy drop"), "{closed}");
    // With a file that cannot be read for what it is, the default bridge is closed at least, and the command fails.
    std::fs::write(&file, "bridge = 9\n").unwrap();
    let failed = host.world.command("outcalld", 20).args(["close", "--config"]).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(!failed.status.success() && said.contains(":1: `bridge` wants a text"), "{said}");
    let closed = host.sh("nft list ruleset");
    assert!(closed.contains("outcall0") && closed.contains("policy drop"), "{closed}");
    // The daemon takes the same file.
    std::fs::write(&file, "bridge = \"agents9\"\ndns_port = 5353\n").unwrap();
    let file = file.display().to_string();
    let mut host = Host::with_options(ONE, &["--config", &file]);
    let status = host.outcall(&["bridge", "status", "--json"]);
    assert!(status.stdout.contains("agents9"), "{status}");
    host.signal("TERM");
    assert_eq!(host.ended(), Some(0));
}
