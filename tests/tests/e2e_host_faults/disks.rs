//! The state directory on a disk that is full, may only be read, or is gone.

use outcall_tests::fixtures::disk::Disk;
use outcall_tests::fixtures::host::{Agent, Host};

use super::{check_closed, check_does_not_start, check_served, eventually, policy, refused_by, stop};

/// A host whose state is on a disk of its own, under policy `a`, with an agent.
fn host(options: &str) -> Option<(Host, Disk, Agent)> {
    let mut host = Host::new(&policy("a"));
    stop(&mut host);
    let disk = Disk::over(&host.dir().join("state"), options)?;
    host.start();
    let agent = host.attach("worker-1");
    Some((host, disk, agent))
}

/// Has the daemon read another policy; gives what the command says.
fn load(host: &Host, name: &str) -> outcall_tests::fixtures::Ran {
    host.compile(&policy(name));
    host.outcall(&["rules", "reload", "--artifacts"])
}

/// The generations that are on the disk.
fn generations(host: &Host) -> Vec<String> {
    let entries = std::fs::read_dir(host.dir().join("state/policies")).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_full_disk_leaves_the_policy_and_the_agents_as_they_are() {
    let Some((mut host, disk, agent)) = host("size=1m,mode=700") else { return };
    let before = generations(&host);
    // Full at each point of a load in turn: it is the new policy, whole, or the old one, and nothing is left of the other.
    let mut seen = [0, 0];
    for room in 0..9 {
        disk.fill(room);
        let loaded = load(&host, "b");
        disk.free();
        if loaded.status == 0 {
            assert_eq!(refused_by(&host, &agent), "b-no", "with {room} pages");
            assert_eq!(host.outcall(&["rules", "rollback"]).status, 0);
            seen[1] += 1;
        } else {
            assert!(loaded.stderr.contains("No space left"), "{loaded}");
            assert_eq!(generations(&host), before, "with {room} pages");
            seen[0] += 1;
        }
        assert_eq!(refused_by(&host, &agent), "a-no", "with {room} pages");
    }
    assert!(seen[0] >= 4 && seen[1] >= 1, "{seen:?}");
    // The same after a restart on a disk that is still full, with nothing that can be loaded but what was kept.
    disk.fill(0);
    let failed = load(&host, "b");
    assert!(failed.status == 1 && failed.stderr.contains("No space left"), "{failed}");
    std::fs::write(host.artifacts().join("manifest.json"), "nonsense").unwrap();
    host.signal("KILL");
    host.ended();
    host.start();
    assert_eq!(refused_by(&host, &agent), "a-no");
    check_served(&host, &agent);
    // An agent that cannot be remembered is none: nothing of it is left.
    let other = Agent::new(&host, "other");
    let namespace = format!("/proc/{}/ns/net", other.pid());
    let attached = host.outcall(&["netns", "attach", &namespace, "--name", "other"]);
    assert!(attached.status == 1, "{attached}");
    assert!(
        attached.stderr.contains("cannot remember the agents") && attached.stderr.contains("No space left"),
        "{attached}"
    );
    assert!(!host.outcall(&["netns", "list"]).stdout.contains("other"));
    assert!(!host.sh("nft list set bridge outcall pinned_v4").contains("10.200.0.3"));
    check_closed(&mut host, &other);
    // One that is let go reaches nothing, whatever can be remembered of it; and that is when there is room.
    let detached = host.outcall(&["netns", "detach", "worker-1"]);
    assert!(detached.status == 0 && detached.stdout.contains("warning: it reaches nothing"), "{detached}");
    check_closed(&mut host, &agent);
    let kept = || std::fs::read_to_string(host.dir().join("state/agents.json")).unwrap();
    assert!(kept().contains("worker-1"));
    disk.free();
    eventually("it is forgotten", || !kept().contains("worker-1"));
    host.plug(&other);
    check_served(&host, &other);
    assert_eq!(load(&host, "b").status, 0);
    assert_eq!(refused_by(&host, &other), "b-no");
}

#[test]
fn a_disk_that_may_only_be_read_changes_nothing_and_everything_in_force_goes_on() {
    let Some((mut host, disk, agent)) = host("size=1m,mode=700") else { return };
    disk.lock(true);
    for again in [false, true] {
        let failed = load(&host, "b");
        assert!(failed.status == 1 && failed.stderr.contains("Read-only file system"), "{failed}");
        assert_eq!(refused_by(&host, &agent), "a-no");
        check_served(&host, &agent);
        let other = Agent::new(&host, "other");
        let attached = host.outcall(&["netns", "attach", &format!("/proc/{}/ns/net", other.pid()), "--name", "other"]);
        assert!(attached.status == 1 && attached.stderr.contains("Read-only file system"), "{attached}");
        check_closed(&mut host, &other);
        // It begins on such a disk as well, with what it is given; what was in force is known.
        host.compile(&policy("a"));
        if !again {
            stop(&mut host);
            host.start();
        }
    }
    disk.lock(false);
    assert_eq!(load(&host, "b").status, 0, "{}", host.said());
    assert_eq!(refused_by(&host, &agent), "b-no");
}

#[test]
fn a_state_directory_that_is_gone_is_said_and_begun_anew_at_the_next_start() {
    let mut host = Host::new(&policy("a"));
    let agent = host.attach("worker");
    let state = host.dir().join("state");
    std::fs::remove_dir_all(&state).unwrap();
    let failed = load(&host, "b");
    assert!(failed.status == 1 && failed.stderr.contains("No such file or directory"), "{failed}");
    assert_eq!(refused_by(&host, &agent), "a-no");
    let other = Agent::new(&host, "other");
    let attached = host.outcall(&["netns", "attach", &format!("/proc/{}/ns/net", other.pid()), "--name", "other"]);
    assert!(attached.status == 1 && attached.stderr.contains("cannot remember the agents"), "{attached}");
    assert!(host.outcall(&["netns", "list"]).stdout.contains("worker"));
    check_served(&host, &agent);
    // The agents are forgotten with it: they are closed, and can be attached again.
    stop(&mut host);
    host.start();
    assert!(host.outcall(&["netns", "list"]).stdout.contains("no agents"));
    check_closed(&mut host, &agent);
    host.plug(&other);
    assert_eq!(refused_by(&host, &other), "b-no");
    // Where there can be none, there is no daemon, and nothing is open.
    stop(&mut host);
    std::fs::remove_dir_all(&state).unwrap();
    std::fs::write(&state, "").unwrap();
    check_does_not_start(&mut host, "Not a directory");
    check_closed(&mut host, &other);
    std::fs::remove_file(&state).unwrap();
    let Some(_disk) = Disk::over(&state, "size=4k,nr_inodes=1,mode=700") else { return };
    check_does_not_start(&mut host, "No space left");
    check_closed(&mut host, &other);
}
