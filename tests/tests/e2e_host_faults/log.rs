//! The audit log on a disk that is full or hangs, and a standard error that nobody can write to.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use outcall_tests::fixtures::disk::Disk;
use outcall_tests::fixtures::host::{Agent, Host};
use serde_json::Value;

use super::{check_served, eventually, policy, refused_by, served, stop};

/// How often the agent was refused by the policy.
fn refuse(host: &Host, agent: &Agent, times: usize) {
    let script = format!(
        "for i in $(seq {times}); do curl -s --max-time 5 -o /dev/null -w '%{{http_code}}\\n' -x http://10.200.0.1:8080 http://allowed.test/no; done"
    );
    let ran = host.agent_sh(agent, &script);
    assert_eq!(ran.stdout, "403\n".repeat(times), "no request waits: {ran}\n{}", host.said());
}

fn records(host: &Host) -> usize {
    host.audit().iter().filter(|line| line["layer"] == "http" && line["decision"] == "block").count()
}

#[test]
fn invariant_10_a_full_disk_loses_no_record_for_a_while_and_after_that_the_log_says_how_many() {
    let mut host = Host::new(&policy("a"));
    stop(&mut host);
    let Some(disk) = Disk::over(&host.dir().join("logs"), "size=256k") else { return };
    let log = host.dir().join("audit.jsonl");
    std::fs::remove_file(&log).unwrap();
    symlink(host.dir().join("logs/audit.jsonl"), &log).unwrap();
    host.start();
    let agent = host.attach("worker");
    refuse(&host, &agent, 3);
    eventually("three are written", || records(&host) == 3);
    // For some seconds: whoever looks after logs makes room, and nothing is missing.
    disk.fill(0);
    refuse(&host, &agent, 20);
    check_served(&host, &agent);
    disk.free();
    eventually("all are written", || records(&host) == 23);
    let said = || host.said();
    eventually("it is said", || said().contains("the audit log is written again; 0 record(s) were lost"));
    assert_eq!(said().matches("the audit log cannot be written: No space left").count(), 1, "{}", said());
    // For longer: the agents are still answered, what is lost is counted, and the log says so where it is missing.
    disk.fill(0);
    refuse(&host, &agent, 30);
    eventually("it is given up on", || said().contains("records are lost from now on"));
    refuse(&host, &agent, 5);
    let lost = || {
        let metrics = host.outcall(&["metrics"]).stdout;
        let line = metrics.lines().find_map(|line| line.strip_prefix("outcall_audit_lost_total "));
        line.and_then(|number| number.parse::<usize>().ok()).unwrap()
    };
    // Some still fit into the last page of the log.
    eventually("they are counted", || lost() >= 20);
    assert_eq!(refused_by(&host, &agent), "a-no");
    disk.free();
    refuse(&host, &agent, 1);
    eventually("the log is written again", || host.audit().iter().any(|line| line["event"] == "records_lost"));
    let refused = 23 + 30 + 5 + 1 + 1;
    eventually("every refusal is in the log, or counted", || records(&host) + lost() >= refused);
    let gap = host.audit().into_iter().find(|line| line["event"] == "records_lost").unwrap();
    assert_eq!(gap["lost"].as_u64(), u64::try_from(lost()).ok(), "{gap}");
    assert!(gap["why"].as_str().unwrap().contains("No space left"), "{gap}");
    assert!(gap["policy"].as_str().unwrap().starts_with("sha256:"), "{gap}");
    // Every line is whole.
    let text = std::fs::read_to_string(&log).unwrap();
    let broken: Vec<&str> = text.lines().filter(|line| serde_json::from_str::<Value>(line).is_err()).collect();
    assert!(broken.len() <= 2, "at most the lines that did not fit: {broken:?}");
    stop(&mut host);
}

/// Asks for names as fast as it can, and says how often it was answered.
const ASKING: &str = "
import socket, sys
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.connect(('10.200.0.1', 53))
asking.settimeout(1.5)
answered = 0
for number in range(int(sys.argv[1])):
    name = b'n%d' % number
    question = number.to_bytes(2, 'big') + b'\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0' + bytes([len(name)]) + name + b'\\4evil\\0\\0\\1\\0\\1'
    asking.send(question)
    try:
        while asking.recv(4096)[:2] != question[:2]: pass
        answered += 1
    except TimeoutError:
        break
print(answered)
";

#[test]
fn a_log_that_hangs_holds_requests_back_and_loses_none_and_the_operator_is_answered() {
    let mut host = Host::new(&policy("a"));
    stop(&mut host);
    let log = host.dir().join("audit.jsonl");
    std::fs::remove_file(&log).unwrap();
    host.sh(&format!("mkfifo {}", log.display()));
    // Somebody who will read it, later.
    let mut reader = OpenOptions::new().read(true).write(true).open(&log).unwrap();
    host.start();
    let agent = host.attach("worker");
    let mut asking = host.agent_command(&agent, 120);
    let asked = asking.args(["/usr/bin/python3", "-I", "-c", ASKING, "100000"]).output().unwrap();
    let answered: usize = String::from_utf8(asked.stdout).unwrap().trim().parse().unwrap();
    assert!(answered > 1_000 && answered < 100_000, "{answered}");
    // Everything else goes on: the operator, the kernel, and what is in force.
    let began = Instant::now();
    assert_eq!(host.outcall(&["bridge", "status"]).status, 0);
    host.compile(&policy("b"));
    assert_eq!(host.outcall(&["rules", "reload", "--artifacts"]).status, 0);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    eventually("it is said", || host.said().contains("requests wait, as the audit log is not written fast enough"));
    let held = host.agent_sh(&agent, "curl -s --max-time 2 http://allowed.test/yes");
    assert!(held.status != 0 && held.stdout.is_empty(), "{held}");
    // It is read again: who waits is served, and each refusal has its record, in order.
    let reading = std::thread::spawn(move || {
        let (mut text, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
        while !text.ends_with(b"the end\n") {
            let length = reader.read(&mut buffer).unwrap();
            text.extend_from_slice(&buffer[..length]);
        }
        String::from_utf8(text).unwrap()
    });
    eventually("who waits is served", || served(&host, &agent));
    assert_eq!(refused_by(&host, &agent), "b-no");
    stop(&mut host);
    std::io::Write::write_all(&mut OpenOptions::new().append(true).open(&log).unwrap(), b"the end\n").unwrap();
    let text = reading.join().unwrap();
    let names: Vec<usize> = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|line| {
            line["request"]["dns"]["query"].as_str()?.strip_prefix('n')?.strip_suffix(".evil")?.parse().ok()
        })
        .collect();
    assert!(names.iter().copied().eq(0..names.len()), "in order, none missing");
    assert!(names.len() >= answered, "{} records of {answered} refusals", names.len());
}

#[test]
fn a_standard_error_that_cannot_be_written_ends_nothing() {
    let mut host = Host::new(&policy("a"));
    stop(&mut host);
    host.start_through(&["sh", "-c", "exec \"$@\" 2>/dev/full", "sh"]);
    host.start();
    let agent = host.attach("worker");
    let restored = || host.audit().iter().filter(|line| line["event"] == "tables_restored").count();
    for times in 1..3 {
        host.sh("nft delete table inet outcall");
        eventually("it is put back", || restored() == times);
        eventually("the agent is served", || served(&host, &agent));
    }
    stop(&mut host);
}
