//! A host under load while everything around it goes wrong: upstreams and resolvers that stall, reset, lie and flood, too few
//! descriptors and little memory, full disks, a clock that jumps, policies and agents that come and go, and a daemon that is
//! killed. What is left at the end is compared with what was there before.

mod measure;

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::fixtures::disk::Disk;
use crate::fixtures::host::{Agent, Host};
use crate::fixtures::world::end;
pub use measure::Measure;

/// Where the servers are that behave badly.
const BAD: &str = "93.184.217.2";
/// As many descriptors as the daemon may have: the agents below open more.
const DESCRIPTORS: &str = "--nofile=384:384";
/// As much private memory as it may have, in bytes: some five times what it needs in a build without optimisation.
const MEMORY: &str = "--data=1000000000";
/// How many agents work at a time, and each of them at how many things.
const AGENTS: usize = 3;
const THREADS: &str = "24";
/// One round: load with a fault in it.
const ROUND: Duration = Duration::from_secs(6);
/// How long things may take to be as they were, once it is calm.
const CALM: Duration = Duration::from_secs(120);

fn rules(name: &str) -> String {
    format!(
        r#"
version: "1"
rules:
  - {{ id: {name}-no, action: block, condition: 'http.path == "/no"' }}
  - {{ id: {name}-web, action: allow, condition: 'http.host in ["allowed.test", "brief.test"]' }}
  - {{ id: {name}-inside, action: allow, condition: 'http.host in ["modern.test", "servfail.test", "silent.test"] && http.method == "GET"', egress: {{ mode: intercept }} }}
  - {{ id: {name}-echo, action: allow, condition: 'dns.query == "other.test"', egress: {{ mode: direct_ip, ports: [7000] }} }}
"#
    )
}

/// What runs.
struct Soak {
    host: Host,
    agents: Vec<Agent>,
    disk: Disk,
    clock: Option<PathBuf>,
    bad: (Agent, Child),
    said: String,
}

/// How it went.
#[derive(Debug)]
pub struct Report {
    /// What the load says of itself.
    pub load: Vec<String>,
    /// Before the load and, after it, in the calm.
    pub measures: [Measure; 2],
    /// What has leaked; nothing, where all is well.
    pub leaks: Vec<String>,
}

/// Loads a host for that long, in rounds of some seconds; `None` where this process may not.
///
/// # Panics
/// When it cannot be set up, or something is wrong before the end.
pub fn run(time: Duration) -> Option<Report> {
    let mut soak = Soak::start()?;
    let mut load = Vec::new();
    // Whatever is made once, at first use, is made now. The one that is measured is the one that comes after a death.
    load.extend(soak.round(0));
    soak.kill();
    load.extend(soak.round(1));
    let before = soak.calm(None);
    let began = Instant::now();
    let mut number = 0;
    while number < 2 || began.elapsed() < time {
        load.extend(soak.round(number));
        number += 1;
    }
    let after = soak.calm(Some(&before));
    let mut leaks = after.leaks(&before);
    leaks.extend(soak.gaps());
    leaks.extend(soak.works());
    Some(Report { load, measures: [before, after], leaks })
}

impl Soak {
    #[expect(clippy::expect_used, reason = "fixtures stop the test when they cannot be set up")]
    fn start() -> Option<Soak> {
        let mut host = Host::new("version: \"1\"\nrules: []\n");
        host.signal("TERM");
        host.ended();
        std::fs::remove_file(host.dir().join("audit.jsonl")).ok();
        let disk = Disk::over(&host.dir().join("state"), "size=6m,mode=700")?;
        std::os::unix::fs::symlink(host.dir().join("state/audit.jsonl"), host.dir().join("audit.jsonl"))
            .expect("a link");
        let ca = host.dir().join("ca");
        host.sh(&format!("faketime -f -30d outcall ca init --algorithm ecdsa --out {0} || outcall ca init --algorithm ecdsa --out {0}", ca.display()));
        let file = |name: &str| ca.join(name).display().to_string();
        let upstream = host.world.ca().display().to_string();
        let (certificate, key) = (file("ca.crt"), file("ca.key"));
        host.set_options(&[
            "--ca-cert",
            &certificate,
            "--ca-key",
            &key,
            "--upstream-ca",
            &upstream,
            "--dns-upstream",
            BAD,
        ]);
        let (clock, variables) = clock(&host);
        let mut before: Vec<&str> = vec!["prlimit", DESCRIPTORS, MEMORY, "--", "env"];
        before.extend(variables.iter().map(String::as_str));
        host.start_through(&before);
        let bad = bad(&host);
        host.compile(&rules("a"));
        host.start();
        let agents = (0..AGENTS).map(|number| host.attach(&format!("worker-{number}"))).collect();
        Some(Soak { host, agents, disk, clock, bad, said: String::new() })
    }

    /// Loads for a round, with one fault after the other in it.
    fn round(&mut self, number: u32) -> Vec<String> {
        let workers: Vec<Child> = self.agents.iter().map(|agent| self.work(agent)).collect();
        let began = Instant::now();
        // Somebody comes and goes.
        let visitor = self.host.attach("visitor");
        let other = if number.is_multiple_of(2) { "b" } else { "a" };
        self.host.compile(&rules(other));
        let loaded = self.host.outcall(&["rules", "reload", "--artifacts"]);
        assert_eq!(loaded.status, 0, "{loaded}\n{}", self.host.said());
        self.jump(match number % 3 {
            0 => 1,
            1 => -2,
            _ => 0,
        });
        self.disk.fill(u64::from(number % 3));
        let refused = self.host.outcall(&["rules", "reload", "--artifacts"]);
        let _ = self.host.agent_sh(&visitor, "curl -s --max-time 2 http://allowed.test/yes http://allowed.test/no");
        self.disk.free();
        assert!(refused.status <= 1, "{refused}");
        let detached = self.host.outcall(&["netns", "detach", "visitor"]);
        assert_eq!(detached.status, 0, "{detached}\n{}", self.host.said());
        while began.elapsed() < ROUND {
            std::thread::sleep(Duration::from_millis(100));
        }
        let results = workers.into_iter().map(result).collect();
        self.jump(0);
        results
    }

    /// One agent at work, for a round.
    #[expect(clippy::expect_used, reason = "fixtures stop the test when they cannot be set up")]
    fn work(&self, agent: &Agent) -> Child {
        let seconds = ROUND.as_secs().to_string();
        let mut command = self.host.agent_command(agent, 60);
        command.args(["python3", &script("agent.py"), &seconds, THREADS]).stdout(Stdio::piped()).stderr(Stdio::null());
        command.spawn().expect("timeout(1)")
    }

    /// Kills the daemon without a word, and starts another.
    fn kill(&mut self) {
        self.said.push_str(&self.host.said());
        self.host.signal("KILL");
        self.host.ended();
        self.host.start();
    }

    /// Has the daemon's clock show the machine's time, so many days on.
    #[expect(clippy::expect_used, reason = "fixtures stop the test when they cannot go on")]
    fn jump(&self, days: i64) {
        if let Some(clock) = &self.clock {
            let next = clock.with_extension("next");
            std::fs::write(&next, format!("{:+}\n", days * 86_400)).expect("a file");
            std::fs::rename(next, clock).expect("a file");
        }
    }

    /// Waits until things are as they were before, or do not change any more, and measures them.
    fn calm(&self, before: Option<&Measure>) -> Measure {
        let flushed = self.host.outcall(&["rules", "flush"]);
        assert_eq!(flushed.status, 0, "{flushed}");
        let began = Instant::now();
        let mut last = Measure::take(&self.host);
        let mut still = Instant::now();
        loop {
            std::thread::sleep(Duration::from_millis(500));
            let now = Measure::take(&self.host);
            if !now.same_counts(&last) {
                still = Instant::now();
            }
            let settled = match before {
                Some(before) => now.leaks(before).is_empty(),
                // Longer than idle connections are kept.
                None => now.connections == 0 && still.elapsed() > Duration::from_secs(12),
            };
            last = now;
            if settled || began.elapsed() > CALM {
                return last;
            }
        }
    }

    /// What is wrong with the audit log: a line that is not whole, or records that are missing and not said to be.
    fn gaps(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.host.dir().join("audit.jsonl")).unwrap_or_default();
        let broken = text.lines().filter(|line| serde_json::from_str::<Value>(line).is_err()).count();
        let said: u64 = self
            .host
            .audit()
            .iter()
            .filter(|line| line.get("event").is_some_and(|event| event == "records_lost"))
            .filter_map(|line| line.get("lost").and_then(Value::as_u64))
            .sum();
        let lost = Measure::metric(&self.host, "outcall_audit_lost_total");
        let mut found = Vec::new();
        // A disk that is full cuts a line in two; what was lost before the daemon was killed is in the log alone.
        if broken > 0 && lost == 0 && said == 0 {
            found.push(format!("{broken} lines of the audit log are broken, and nothing is said to be lost"));
        }
        if lost > said {
            found.push(format!("{lost} records were lost, and the audit log says {said}"));
        }
        if self.host.said().contains("panicked") || self.said.contains("panicked") {
            found.push(format!("something panicked: {}", self.host.said()));
        }
        found
    }

    /// Whether it still does what it is for.
    fn works(&self) -> Vec<String> {
        let mut found = Vec::new();
        for agent in &self.agents {
            let passes = self.host.agent_sh(agent, "curl -sS --max-time 10 http://allowed.test/yes");
            if !passes.stdout.contains("saw GET") {
                found.push(format!("what is allowed does not pass any more: {passes}"));
            }
            let refused = self
                .host
                .agent_sh(agent, "curl -s -o /dev/null -w '%{http_code}' --max-time 10 http://allowed.test/no");
            if refused.stdout != "403" {
                found.push(format!("what is blocked is not refused any more: {refused}"));
            }
        }
        found
    }
}

impl Drop for Soak {
    fn drop(&mut self) {
        end(&mut self.bad.1);
    }
}

/// What a worker said of its round.
fn result(worker: Child) -> String {
    let output = worker.wait_with_output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&output).trim().to_owned()
}

fn script(name: &str) -> String {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("soak").join(name).display().to_string()
}

/// The servers that behave badly, in a network of their own beside the host.
#[expect(clippy::expect_used, reason = "fixtures stop the test when they cannot be set up")]
fn bad(host: &Host) -> (Agent, Child) {
    let place = Agent::new(host, "bad");
    let pid = place.pid();
    host.sh(&format!(
        "ip link add bad0 type veth peer name eth0 netns {pid} && ip address add 93.184.217.1/24 dev bad0 && ip link set bad0 up \
         && nsenter --net=/proc/{pid}/ns/net sh -c 'ip link set lo up; ip address add {BAD}/24 dev eth0; ip link set eth0 up'"
    ));
    let mut command = host.world.command("nsenter", 7200);
    command.arg(format!("--net=/proc/{pid}/ns/net")).args(["python3", &script("bad.py"), BAD]).stdout(Stdio::piped());
    let mut running = command.spawn().expect("timeout(1)");
    let mut line = String::new();
    let mut said = std::io::BufReader::new(running.stdout.take().expect("a pipe"));
    std::io::BufRead::read_line(&mut said, &mut line).expect("what it says first");
    assert_eq!(line, "here\n", "the bad servers stand");
    (place, running)
}

/// A clock that can jump, where the library for it is installed, and what has a program read it.
fn clock(host: &Host) -> (Option<PathBuf>, Vec<String>) {
    let directories = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let library = directories.map(|entry| entry.path().join("faketime/libfaketime.so.1")).find(|path| path.exists());
    let Some(library) = library else {
        eprintln!("the clock does not jump: there is no libfaketime here");
        return (None, Vec::new());
    };
    let file = host.dir().join("state/clock");
    let _ = std::fs::write(&file, "+0\n");
    let variables = vec![
        format!("LD_PRELOAD={}", library.display()),
        format!("FAKETIME_TIMESTAMP_FILE={}", file.display()),
        "FAKETIME_NO_CACHE=1".to_owned(),
        "DONT_FAKE_MONOTONIC=1".to_owned(),
    ];
    (Some(file), variables)
}
