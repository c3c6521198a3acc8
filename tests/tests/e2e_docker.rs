//! Containers of a real engine of Docker's as agents of a host: made by `outcall container`, or by hand.
#![cfg(test)]

use std::time::{Duration, Instant};

use outcall_tests::fixtures::docker::Docker;
use outcall_tests::fixtures::host::Host;
use outcall_tests::fixtures::zone;

const RULES: &str = r#"
version: "1"
rules:
  - { id: web, action: allow, condition: 'http.host == "allowed.test"' }
  - { id: tools, action: allow, condition: 'run.tool == "/bin/busybox" && agent.name == "worker"' }
  - { id: images, action: allow, condition: 'docker.image in ["tool:1", "bare:1"] && docker.volumes.all(it, it.endsWith(":ro"))' }
"#;

/// Waits until `so` holds, and fails when it never does.
#[track_caller]
fn eventually(what: &str, so: impl Fn() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < Duration::from_secs(30), "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A host with an engine, or nothing where there is none to be had.
fn world() -> Option<(Host, Docker)> {
    if !Docker::is_installed() {
        eprintln!("skipped: there is no dockerd here, or no busybox: apt-get install docker.io busybox-static");
        return None;
    }
    // The daemon begins without it.
    let mut docker = Docker::place();
    let shim = outcall_tests::fixtures::agent::shim().to_str().unwrap();
    let socket = docker.socket();
    let options = ["--docker-socket", socket.to_str().unwrap(), "--agent-shim", shim];
    let host = Host::with_options(RULES, &options);
    docker.start(&host);
    docker.import();
    eventually("the engine answers", || connected(&host));
    Some((host, docker))
}

fn connected(host: &Host) -> bool {
    host.curl("/api/v1/network/config")["data"]["engine"]["connected"] == true
}

fn guarded(host: &Host, name: &str) -> bool {
    let list = host.curl("/api/v1/containers");
    let rows = list["data"].as_array().cloned().unwrap_or_default();
    rows.iter().any(|row| row["name"] == name && row["guarded"] == true)
}

/// Asks with the shim in a container, in which there may be nothing else.
fn shim(docker: &Docker, container: &str, words: &str) -> (Option<i32>, String) {
    let output = docker.exec_plain(container, &format!("/usr/local/bin/outcall {words}"));
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

/// Who a container is told that it is.
#[track_caller]
fn named(docker: &Docker, container: &str) -> String {
    let (status, said) = shim(docker, container, "checkin --json");
    let told: serde_json::Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{status:?} {said}"));
    format!("{} {} {}", told["name"].as_str().unwrap(), told["agent"].as_str().unwrap(), told["kind"].as_str().unwrap())
}

const ASK: &str = "curl -sS --max-time 8 http://allowed.test/a";

#[test]
fn containers_are_guarded_however_they_were_started() {
    let Some((mut host, mut docker)) = world() else { return };
    // The network, twice: the second time nothing changes.
    let first = host.outcall(&["network", "create", "--json"]);
    assert_eq!(first.status, 0, "{first}\n{}", host.said());
    assert_eq!(host.outcall(&["network", "create", "--json"]).stdout, first.stdout);
    let other = host.outcall(&["network", "create", "another"]);
    assert!(other.status == 1 && other.stderr.contains("`outcall` on our bridge already"), "{other}");
    assert!(host.outcall(&["network", "status"]).stdout.contains("answers at"));
    assert!(host.outcall(&["network", "list"]).stdout.contains("10.200.0.0/16"));

    // The demo: what the policy allows passes, by name and proxy, and nothing else does.
    let made = host.outcall(&["container", "create", "--name", "worker-1", "tool:1", "--", "/bin/sleep", "600"]);
    assert!(made.status == 0 && made.stdout.contains("agent `worker`"), "{made}\n{}", host.said());
    let inside = docker.exec("worker-1", ASK);
    assert!(inside.stdout.contains("saw GET"), "{inside}\n{}", host.said());
    let direct = docker.exec("worker-1", &format!("{ASK} --noproxy '*'"));
    assert!(direct.stdout.contains("saw GET"), "through the redirection: {direct}\n{}", host.said());
    let before = host.world.arrived().len();
    for script in [
        "curl -sS --max-time 3 http://evil.test/",
        "curl -sS --max-time 3 --noproxy '*' http://evil.test/",
        "curl -sS --max-time 3 --noproxy '*' http://93.184.216.34/",
        "echo x | nc -w 2 93.184.216.35 7000",
        "curl -sS --max-time 3 --noproxy '*' http://169.254.169.254/",
        "ip link set eth0 address 02:00:00:00:00:09",
        "ip addr add 10.200.0.77/16 dev eth0",
    ] {
        let ran = docker.exec("worker-1", script);
        assert!(ran.status != 0 || !ran.stdout.contains("saw"), "{script}: {ran}");
    }
    assert_eq!(host.world.arrived().len(), before);
    assert!(host.refusals("worker").len() >= 3, "{:?}", host.refusals("worker"));
    assert!(docker.exec("worker-1", "ip addr add 10.200.0.77/16 dev eth0").status != 0, "it has no rights");
    assert!(docker.exec("worker-1", "grep CapBnd /proc/self/status").stdout.contains("0000000000000000"));
    assert!(docker.exec("worker-1", "grep NoNewPrivs /proc/self/status").stdout.contains('1'));
    let detail = host.outcall(&["container", "inspect", "worker-1"]);
    assert!(detail.stdout.contains("guarded at port") && detail.stdout.contains("1073741824 bytes"), "{detail}");
    assert!(host.outcall(&["netns", "list"]).stdout.contains("container"));

    // It asks the daemon by its shim, and what it sees of the host it can but read. So does one that has nothing else.
    assert_eq!(named(&docker, "worker-1"), "worker-1 worker container", "{}", host.said());
    let made =
        host.outcall(&["container", "create", "--name", "bare-2", "bare:1", "--", "/bin/busybox", "sleep", "600"]);
    assert_eq!(made.status, 0, "{made}\n{}", host.said());
    assert_eq!(named(&docker, "bare-2"), "bare-2 bare container");
    let allowed = shim(&docker, "worker-1", "exec -- /bin/busybox echo ran");
    assert_eq!(allowed, (Some(0), "ran\n".to_owned()));
    let (status, said) = shim(&docker, "bare-2", "exec -- /bin/busybox echo ran");
    assert!(status == Some(1) && said.contains("Blocked by outcall: default"), "{said}");
    assert_eq!(docker.exec("worker-1", "echo /run/outcall/*").stdout, "/run/outcall/agent.sock\n");
    for script in [
        "echo x >/run/outcall/x",
        "busybox rm /run/outcall/agent.sock",
        "busybox mv /run/outcall/agent.sock /run/outcall/x",
        "echo x >/usr/local/bin/outcall",
        "busybox chmod 777 /run/outcall/agent.sock",
    ] {
        assert_ne!(docker.exec("worker-1", script).status, 0, "{script}");
    }
    let created = host.outcall(&["container", "remove", "bare-2", "--force"]);
    assert_eq!(created.status, 0, "{created}");

    // What rules refuse leaves one record each and no container.
    for arguments in [
        &["container", "create", "--name", "w2", "other:1"][..],
        &["container", "create", "--name", "w2", "--volume", "/srv:/srv", "tool:1"],
        &["container", "pull", "other:1"],
    ] {
        let refused = host.outcall(arguments);
        assert!(refused.status == 1 && refused.stderr.contains("Blocked by outcall: default"), "{refused}");
    }
    eventually("three refusals are written", || {
        let audit = host.audit();
        audit.iter().filter(|it| it["layer"] == "docker" && it["decision"] == "block").count() == 3
    });
    for (volume, why) in [
        (format!("{}:/s:ro", docker.socket().display()), "no agent may see"),
        (format!("{}:/s:ro", host.dir().display()), "no agent may see"),
        ("/:/host:ro".to_owned(), "no agent may see"),
        ("/proc:/p:ro".to_owned(), "no agent may see"),
    ] {
        let refused = host.outcall(&["container", "create", "--name", "w2", "--volume", &volume, "tool:1"]);
        assert!(refused.status == 1 && refused.stderr.contains(why), "{volume}: {refused}");
    }
    let more = host.outcall(&["container", "create", "--name", "w2", "--cap-add", "NET_ADMIN", "tool:1"]);
    assert!(more.status == 1 && more.stderr.contains("NET_ADMIN"), "{more}");
    let taken = host.outcall(&["container", "create", "--name", "worker-1", "tool:1"]);
    assert!(taken.status == 1 && taken.stderr.contains("already"), "{taken}");
    let missing = host.outcall(&["container", "inspect", "nobody"]);
    assert_eq!(missing.status, 6, "{missing}");

    // By hand: one that may be an agent is one, at the address that the engine gave it.
    docker.docker("run -d --name byhand-7 --network outcall --dns 10.200.0.1 tool:1 /bin/sleep 600");
    eventually("it is let in", || guarded(&host, "byhand-7"));
    let inside = docker.exec("byhand-7", ASK);
    assert!(inside.stdout.contains("saw GET"), "{inside}\n{}", host.said());
    assert!(!docker.exec("byhand-7", "curl -sS --max-time 3 http://evil.test/").stdout.contains("saw"));
    eventually("it is known by its name", || !host.refusals("byhand").is_empty());
    // It may be given what those made by commands are given, to read alone; and whoever shares its network is the same agent.
    let state = host.dir().join("state/docker");
    let mounts = format!("-v {0}/run:/run/outcall:ro -v {0}/outcall-agent:/usr/local/bin/outcall:ro", state.display());
    docker.docker(&format!("run -d --name asks-3 --network outcall --dns 10.200.0.1 {mounts} tool:1 /bin/sleep 600"));
    eventually("it is let in", || guarded(&host, "asks-3"));
    assert_eq!(named(&docker, "asks-3"), "asks-3 asks container");
    docker.docker(&format!("run -d --name beside --network container:asks-3 {mounts} tool:1 /bin/sleep 600"));
    assert_eq!(named(&docker, "beside"), "asks-3 asks container");
    // One that is on no network of ours is nobody.
    docker.docker(&format!("run -d --name nobody-here --network none {mounts} tool:1 /bin/sleep 600"));
    let (status, said) = shim(&docker, "nobody-here", "checkin");
    assert!(status == Some(1) && said.contains("only agents on the bridge"), "{said}");
    docker.docker("rm -f beside asks-3 nobody-here");
    // Neither reaches the other.
    let address = docker.address("worker-1");
    assert_ne!(docker.exec("byhand-7", &format!("ping -c 1 -W 1 {address}")).status, 0);

    // More than an agent may have: never let in, and taken off the network.
    docker.docker("network create -d bridge --subnet 172.30.0.0/24 -o com.docker.network.bridge.name=br-other other");
    for (name, options) in [
        ("privileged", "--privileged".to_owned()),
        ("admin", "--cap-add NET_ADMIN".to_owned()),
        ("hostpid", "--pid host".to_owned()),
        ("socket", format!("-v {}:/s", docker.socket().display())),
        ("writes", format!("-v {}:/run/outcall", state.join("run").display())),
        ("above", format!("-v {}:/x:ro", state.display())),
        ("device", "--device /dev/null:/dev/x".to_owned()),
    ] {
        let options = format!("--name {name} --network outcall --dns 10.200.0.1 {options}");
        if let Err(why) = docker.run(&format!("{options} tool:1 /bin/sleep 600")) {
            // Who has not all rights itself, as in a container, cannot give them: no container, nothing to cut off.
            assert!(name == "privileged" && why.contains("operation not permitted"), "{name}: {why}");
            eprintln!("skipped: this machine starts no privileged container: {}", why.trim());
            continue;
        }
        eventually(name, || {
            docker.docker(&format!("inspect -f '{{{{len .NetworkSettings.Networks}}}}' {name}")).trim() == "0"
        });
        assert!(!guarded(&host, name));
        let cut = host.audit().into_iter().find(|it| it["event"] == "container_cut_off" && it["container"] == name);
        assert!(cut.is_some_and(|cut| !cut["why"].as_str().unwrap_or_default().is_empty()), "{name}");
    }
    // So is one with another way out, as soon as it has it.
    docker.docker("run -d --name twoways --network outcall --dns 10.200.0.1 tool:1 /bin/sleep 600");
    eventually("it is let in", || guarded(&host, "twoways"));
    docker.docker("network connect other twoways");
    eventually("it is cut off", || {
        !guarded(&host, "twoways")
            && !docker.docker("inspect -f '{{json .NetworkSettings.Networks}}' twoways").contains("\"outcall\"")
    });

    // An address that a new container has inherits nothing, and one that ended is no agent.
    docker.docker("rm -f byhand-7");
    eventually("it is let go", || !host.outcall(&["netns", "list"]).stdout.contains("byhand"));
    let stopped = host.outcall(&["container", "stop", "worker-1"]);
    assert_eq!(stopped.status, 0, "{stopped}");
    assert!(!guarded(&host, "worker-1"));
    docker.docker("start worker-1");
    eventually("it is let in again", || guarded(&host, "worker-1"));
    assert!(docker.exec("worker-1", ASK).stdout.contains("saw GET"));

    // Without the daemon it stays closed, and with it it is let in again.
    host.signal("KILL");
    host.ended();
    let packets = host.world.packets();
    for options in ["http://allowed.test/", "--noproxy '*' http://allowed.test/", "--noproxy '*' http://93.184.216.34/"]
    {
        let ran = docker.exec("worker-1", &format!("curl -sS --max-time 3 {options}"));
        assert!(ran.status != 0 && ran.stdout.is_empty(), "{options}: {ran}");
    }
    let (status, said) = shim(&docker, "worker-1", "exec -- /bin/busybox echo ran");
    assert!(status == Some(5) && said.contains("is it running?"), "nothing is permitted without an answer: {said}");
    // One that comes meanwhile is closed as well.
    docker.docker("run -d --name meanwhile --network outcall --dns 10.200.0.1 tool:1 /bin/sleep 600");
    let ran = docker.exec("meanwhile", "curl -sS --max-time 3 http://93.184.216.34/");
    assert!(ran.status != 0 && ran.stdout.is_empty(), "{ran}");
    assert_eq!(host.world.packets(), packets, "nothing left");
    host.start();
    eventually("both are let in", || guarded(&host, "worker-1") && guarded(&host, "meanwhile"));
    // The socket of the new daemon is where the old one's was.
    assert_eq!(named(&docker, "worker-1"), "worker-1 worker container");
    assert_eq!(shim(&docker, "worker-1", "exec -- /bin/busybox echo ran").0, Some(0));
    assert!(docker.exec("worker-1", ASK).stdout.contains("saw GET"));

    // The engine ends and comes back: everything else goes on meanwhile.
    let agent = host.attach("plain");
    docker.stop();
    eventually("that it is away is said", || host.outcall(&["network", "status"]).stdout.contains("does not answer"));
    let away = host.outcall(&["container", "list"]);
    assert!(away.status == 1 && away.stderr.contains("does not answer"), "{away}");
    assert!(host.agent_sh(&agent, "curl -sS --max-time 10 http://allowed.test/").stdout.contains("saw GET"));
    docker.start(&host);
    eventually("it answers", || connected(&host));
    docker.docker("start worker-1");
    eventually("it is let in again", || guarded(&host, "worker-1"));
    assert!(docker.exec("worker-1", ASK).stdout.contains("saw GET"), "{}", host.said());

    // The end: what is on the network is named, and with force it is taken off. The bridge stays.
    let busy = host.outcall(&["network", "destroy"]);
    assert!(busy.status == 1 && busy.stderr.contains("worker-1"), "{busy}");
    let kept = host.outcall(&["container", "remove", "worker-1"]);
    assert_eq!(kept.status, 1, "it runs: {kept}");
    let removed = host.outcall(&["container", "remove", "worker-1", "--force"]);
    assert_eq!(removed.status, 0, "{removed}");
    let destroyed = host.outcall(&["network", "destroy", "--force"]);
    assert_eq!(destroyed.status, 0, "{destroyed}");
    assert!(host.agent_sh(&agent, "curl -sS --max-time 10 http://allowed.test/").stdout.contains("saw GET"));
    host.world.check_only_reached(&[(zone::CDN_V4.into(), 80), (zone::CDN_V6.into(), 80)]);
}

#[test]
fn without_an_engine_everything_else_works() {
    let host = Host::with_options(RULES, &["--docker-socket", "/nonexistent/docker.sock"]);
    let status = host.outcall(&["network", "status"]);
    assert!(status.status == 0 && status.stdout.contains("does not answer"), "{status}");
    let list = host.outcall(&["container", "list"]);
    assert!(list.status == 1 && list.stderr.contains("Docker's engine does not answer"), "{list}");
    let agent = host.attach("plain");
    assert!(host.agent_sh(&agent, "curl -sS --max-time 10 http://allowed.test/").stdout.contains("saw GET"));
    let without = Host::new(RULES);
    let list = without.outcall(&["container", "list"]);
    assert!(list.status == 6 && list.stderr.contains("--no-docker"), "{list}");
}

#[test]
fn containers_that_outlive_the_engine_stay_guarded() {
    if !Docker::is_installed() {
        eprintln!("skipped: there is no dockerd here, or no busybox: apt-get install docker.io busybox-static");
        return;
    }
    let mut docker = Docker::outlived();
    let host = Host::with_options(RULES, &["--docker-socket", docker.socket().to_str().unwrap()]);
    docker.start(&host);
    docker.import();
    eventually("the engine answers", || connected(&host));
    assert_eq!(host.outcall(&["network", "create"]).status, 0);
    let made = host.outcall(&["container", "create", "--name", "worker-1", "tool:1", "--", "/bin/sleep", "600"]);
    assert_eq!(made.status, 0, "{made}\n{}", host.said());
    let pid: u32 = docker.docker("inspect -f '{{.State.Pid}}' worker-1").trim().parse().unwrap();
    // In the container without the engine, which is away for most of this.
    let inside = |script: &str| {
        let mut command = host.world.command("nsenter", 60);
        let target = pid.to_string();
        command.args(["--target", &target, "--all", "--", "/bin/sh", "-c", script]);
        String::from_utf8_lossy(&command.output().unwrap().stdout).into_owned()
    };
    let is_guarded = || {
        // Docker's own resolver in the container ends with the engine; the proxy asks for itself.
        let allowed = inside("curl -sS --max-time 8 -x http://10.200.0.1:8080 http://allowed.test/a");
        let denied = inside("curl -sS --max-time 3 -x http://10.200.0.1:8080 http://evil.test/");
        let by_address = inside("curl -sS --max-time 3 --noproxy '*' http://93.184.216.34/");
        allowed.contains("saw GET") && !denied.contains("saw") && !by_address.contains("saw")
    };
    assert!(is_guarded(), "{}", host.said());
    // Held: it takes connections and answers nobody. That is noticed, and whoever asks hears of it in time.
    docker.hold(true);
    assert!(is_guarded());
    let began = Instant::now();
    let list = host.outcall(&["container", "list"]);
    assert!(list.status == 1 && list.stderr.contains("does not answer in time"), "{list}");
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    eventually("it is said", || !connected(&host));
    docker.hold(false);
    eventually("it answers", || connected(&host));
    // Ended while they run, and started again: nothing of theirs changes.
    docker.stop();
    eventually("it is said", || !connected(&host));
    assert!(is_guarded(), "without the engine: {}", host.said());
    let row = host.outcall(&["ps"]).stdout;
    assert!(row.contains("worker-1") && row.contains("unknown"), "{row}");
    docker.start(&host);
    eventually("it answers", || connected(&host));
    assert!(is_guarded(), "with it again: {}", host.said());
    assert!(guarded(&host, "worker-1"));
    assert!(host.outcall(&["ps"]).stdout.contains("running"));
    let cut: Vec<_> = host.audit().into_iter().filter(|it| it["event"] == "container_detached").collect();
    assert!(cut.is_empty(), "it was never let go: {cut:?}");
    // One that is started now is let in, and the old one stops by its name.
    docker.docker("run -d --name byhand --network outcall --dns 10.200.0.1 tool:1 /bin/sleep 600");
    eventually("it is let in", || guarded(&host, "byhand"));
    let stopped = host.outcall(&["stop", "worker-1"]);
    assert!(stopped.status == 0 && stopped.stdout.contains("Stopped worker-1"), "{stopped}");
    assert!(host.outcall(&["ps"]).stdout.contains("exited"), "{}", host.outcall(&["ps"]));
    assert_eq!(host.outcall(&["logs", "byhand"]).status, 0);
}
