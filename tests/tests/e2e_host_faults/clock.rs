//! The clock of the host jumps, a day ahead and two days back, while everything goes on.
//!
//! The programs that are under test and the agent's clients read the time from a file, by a library of Debian's package
//! faketime; the machine's own clock stays as it is.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use outcall_tests::fixtures::host::{Agent, Host};
use serde_json::Value;

use super::{eventually, stop};

const RULES: &str = r#"
version: "1"
rules:
  - { id: secret, action: block, condition: 'http.path == "/no"' }
  - { id: inside, action: allow, condition: 'http.host == "allowed.test" && http.method == "GET"', egress: { mode: intercept } }
  - { id: echo, action: allow, condition: 'dns.query == "other.test"', egress: { mode: direct_ip, ports: [7000] } }
"#;

fn library() -> Option<PathBuf> {
    let found =
        std::fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path().join("faketime/libfaketime.so.1"));
    found.chain([PathBuf::from("/usr/lib/faketime/libfaketime.so.1")]).find(|path| path.exists())
}

/// A clock that shows what is said.
struct Clock {
    file: PathBuf,
    library: PathBuf,
}

impl Clock {
    /// Shows the machine's time, so many days on.
    fn jump(&self, days: i64) {
        let next = self.file.with_extension("next");
        std::fs::write(&next, format!("{:+}\n", days * 86_400)).unwrap();
        std::fs::rename(next, &self.file).unwrap();
    }

    /// What has a program read it.
    fn variables(&self) -> [String; 4] {
        [
            format!("LD_PRELOAD={}", self.library.display()),
            format!("FAKETIME_TIMESTAMP_FILE={}", self.file.display()),
            "FAKETIME_NO_CACHE=1".to_owned(),
            "DONT_FAKE_MONOTONIC=1".to_owned(),
        ]
    }

    fn agent_sh(&self, host: &Host, agent: &Agent, script: &str) -> outcall_tests::fixtures::Ran {
        host.agent_sh(agent, &format!("env {} {script}", self.variables().join(" ")))
    }
}

/// The day that a record names, and the machine's own today.
fn days(record: &Value) -> (String, String) {
    let today = std::process::Command::new("date").args(["-u", "+%F"]).output().unwrap().stdout;
    let day = record["time"].as_str().unwrap()[..10].to_owned();
    (day, String::from_utf8(today).unwrap().trim().to_owned())
}

fn today(host: &Host) -> (u64, u64) {
    let data = &host.curl("/api/v1/proxy/intercept")["data"];
    (data["intercepted_today"].as_u64().unwrap(), data["blocked_today"].as_u64().unwrap())
}

/// In how many seconds what a name opened closes.
fn closes_in(host: &Host) -> u64 {
    let rows = host.curl("/api/v1/rules/active")["data"].as_array().cloned().unwrap();
    let row = rows.into_iter().find(|row| row["destination"] == "93.184.216.35").unwrap();
    row["expires_in_secs"].as_u64().unwrap()
}

#[test]
fn a_clock_that_jumps_opens_nothing_closes_nothing_and_stops_nothing() {
    let Some(library) = library() else {
        eprintln!("skipped: there is no libfaketime here: apt-get install faketime");
        return;
    };
    let mut host = Host::new("version: \"1\"\nrules: []\n");
    stop(&mut host);
    let clock = Clock { file: host.dir().join("state/clock"), library };
    clock.jump(0);
    // An authority that was made long ago.
    let ca = host.dir().join("ca");
    host.sh(&format!("faketime -f -30d outcall ca init --algorithm ecdsa --out {}", ca.display()));
    let manager = host.dir().join("notify");
    let notified = UnixDatagram::bind(&manager).unwrap();
    notified.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let (certificate, key) = (ca.join("ca.crt"), ca.join("ca.key"));
    let upstream = host.world.ca();
    let path = |path: &Path| path.display().to_string();
    host.set_options(&["--ca-cert", &path(&certificate), "--ca-key", &path(&key), "--upstream-ca", &path(&upstream)]);
    let variables = clock.variables();
    let mut before: Vec<&str> = vec!["env"];
    before.extend(variables.iter().map(String::as_str));
    let manager = format!("NOTIFY_SOCKET={}", manager.display());
    before.extend([manager.as_str(), "WATCHDOG_USEC=900000"]);
    host.start_through(&before);
    host.compile(RULES);
    host.start();
    let agent = host.attach("worker");
    let get = |path: &str| {
        let ca = path_of(&certificate);
        clock.agent_sh(&host, &agent, &format!("curl -sS --max-time 10 --cacert {ca} https://allowed.test{path}"))
    };
    let alive = || {
        // What it said before does not count.
        notified.set_nonblocking(true).unwrap();
        while notified.recv(&mut [0; 64]).is_ok() {}
        notified.set_nonblocking(false).unwrap();
        let mut said = [0; 64];
        (0..3).all(|_| notified.recv(&mut said).is_ok_and(|length| said[..length].starts_with(b"WATCHDOG=1")))
    };
    assert!(get("/a").stdout.contains("saw GET"), "{}\n{}", get("/a"), host.said());
    assert!(get("/no").stdout.contains("Blocked by outcall: secret"));
    assert_eq!(host.agent_sh(&agent, "printf one | nc -4 -N -w 5 other.test 7000").stdout, "one");
    let counted = today(&host);
    assert!(counted.0 >= 2 && counted.1 == 1, "{counted:?}");
    let mut closes = closes_in(&host);
    assert!((200..=300).contains(&closes), "{closes}");
    let asked = host.curl("/api/v1/dns/cache")["data"]["misses"].as_u64().unwrap();
    for jump in [1, -2, 0] {
        clock.jump(jump);
        let began = Instant::now();
        assert!(alive(), "the service manager hears of it, {jump} days on");
        // Looked into with a certificate that is valid now, judged, and written down under the day that it is.
        let ran = get("/b");
        assert!(ran.stdout.contains("saw GET /b"), "{jump} days on: {ran}\n{}", host.said());
        assert!(get("/no").stdout.contains("Blocked by outcall: secret"), "{jump} days on");
        eventually("the refusal is written", || {
            let last = host.audit().into_iter().rfind(|line| line["rule"] == "secret").unwrap();
            let (day, today) = days(&last);
            (jump == 0) == (day == today) && (jump > 0) == (day > today)
        });
        // Another day's numbers begin anew.
        assert_eq!(today(&host), (2, 1), "{jump} days on");
        // What a name led to stays open, for as long as it would have.
        assert_eq!(host.agent_sh(&agent, "printf two | nc -N -w 5 93.184.216.35 7000").stdout, "two", "{jump} days on");
        let now = closes_in(&host);
        assert!(now <= closes && now + 60 > closes, "{jump} days on: {closes}, then {now}");
        closes = now;
        // Names are neither asked for again nor kept for longer.
        let _ = host.agent_sh(&agent, "dig +short +time=2 +tries=1 @10.200.0.1 other.test A");
        assert_eq!(host.curl("/api/v1/dns/cache")["data"]["misses"].as_u64().unwrap(), asked, "{jump} days on");
        // And what somebody takes from the kernel is put back.
        host.sh("nft delete table inet outcall");
        eventually("the tables are put back", || host.sh("nft list ruleset").contains("policy drop"));
        assert!(host.outcall(&["netns", "list"]).stdout.contains("worker"));
        let uptime = host.curl("/api/v1/health")["data"]["uptime_secs"].as_u64().unwrap();
        assert!(uptime < 600, "{uptime}");
        assert!(began.elapsed() < Duration::from_secs(60));
    }
    stop(&mut host);
}

fn path_of(path: &Path) -> String {
    path.display().to_string()
}
