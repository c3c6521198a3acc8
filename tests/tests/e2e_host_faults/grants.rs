//! What names opened: listed, flushed, and never inherited by whoever has the address next.

use std::process::Stdio;

use outcall_tests::fixtures::host::Host;
use serde_json::Value;

use super::eventually;

const RULES: &str = r#"
version: "1"
rules:
  - { id: echo, action: allow, condition: 'dns.query == "other.test"', egress: { mode: direct_ip, ports: [7000] } }
"#;

const TALK: &str = "printf hello | nc -4 -N -w 3 93.184.216.35 7000";

fn grants(host: &Host) -> Vec<Value> {
    let listed = host.outcall(&["rules", "active", "--json"]);
    assert_eq!(listed.status, 0, "{listed}");
    serde_json::from_str(&listed.stdout).unwrap()
}

#[test]
fn what_a_name_opened_is_listed_and_closed_at_once_when_it_is_flushed() {
    let host = Host::new(RULES);
    let agent = host.attach("worker-1");
    assert_eq!(grants(&host), Vec::<Value>::new());
    assert!(host.outcall(&["rules", "active"]).stdout.contains("No name led to an address"));
    assert_eq!(host.agent_sh(&agent, TALK).stdout, "", "nobody asked for the name");
    assert_eq!(host.agent_sh(&agent, "printf hello | nc -4 -N -w 5 other.test 7000").stdout, "hello");
    let rows = grants(&host);
    let row = rows.iter().find(|row| row["destination"] == "93.184.216.35").unwrap();
    for (member, value) in [
        ("name", "worker-1"),
        ("agent", "worker"),
        ("src_ip", "10.200.0.2"),
        ("protocol", "any"),
        ("port", "7000"),
        ("rule", "echo"),
        ("host", "other.test"),
    ] {
        assert_eq!(row[member], value, "{row}");
    }
    assert!((1..=300).contains(&row["expires_in_secs"].as_u64().unwrap()), "{row}");
    assert!(row["inserted_at"].as_str().unwrap().ends_with('Z'), "{row}");
    assert_eq!(host.agent_sh(&agent, TALK).stdout, "hello", "while the answer lives");
    // A connection that uses it ends with it.
    let mut command = host.agent_command(&agent, 60);
    let open = command
        .args(["sh", "-c", "(printf first; sleep 4; printf second; sleep 1) | nc -4 -w 20 93.184.216.35 7000"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let carried = || host.sh("nft -j list counter inet outcall rule_echo");
    let before = carried();
    eventually("it is connected", || carried() != before);
    let flushed = host.outcall(&["rules", "flush"]);
    assert!(flushed.status == 0 && flushed.stdout.contains(&format!("Closed {} way(s)", rows.len())), "{flushed}");
    assert!(flushed.stdout.contains("Cut "), "{flushed}");
    assert_eq!(grants(&host), Vec::<Value>::new());
    let kernel = host.sh("nft list set inet outcall direct_echo_v4");
    assert!(!kernel.contains("93.184.216.35"), "{kernel}");
    assert_eq!(host.agent_sh(&agent, TALK).stdout, "");
    let said = open.wait_with_output().unwrap().stdout;
    assert_eq!(String::from_utf8_lossy(&said), "first");
    // The name opens it again.
    assert_eq!(host.agent_sh(&agent, "printf again | nc -4 -N -w 5 other.test 7000").stdout, "again");
    assert!(host.outcall(&["rules", "active"]).stdout.contains("other.test"));
    // Who flushed is written down.
    let noted = host.audit().into_iter().find(|line| line["path"] == "/api/v1/rules/flush");
    assert!(noted.is_some_and(|line| line["status"] == 200 && line["event"] == "operator_request"));
}

#[test]
fn an_address_that_a_new_agent_has_inherits_nothing_that_names_opened() {
    let host = Host::new(RULES);
    let first = host.attach("first");
    assert_eq!(host.agent_sh(&first, "printf hello | nc -4 -N -w 5 other.test 7000").stdout, "hello");
    assert_eq!(host.outcall(&["netns", "detach", "first"]).status, 0);
    drop(first);
    let second = host.attach("second");
    let list = host.outcall(&["netns", "list"]).stdout;
    assert!(list.contains("second") && list.contains("10.200.0.2"), "it has the same address: {list}");
    for script in
        [TALK, "printf hello | nc -6 -N -w 3 2606:2800:220:1::35 7000", "printf x | nc -u -w 1 93.184.216.35 7000"]
    {
        assert_eq!(host.agent_sh(&second, script).stdout, "", "{script}");
    }
    // Of two that rules see as one, each asks for itself, and what the one leaves the other does not get.
    let (one, two) = (host.attach("twin-1"), host.attach("twin-2"));
    assert_eq!(host.agent_sh(&one, "printf one | nc -4 -N -w 5 other.test 7000").stdout, "one");
    assert_eq!(host.agent_sh(&two, "printf two | nc -4 -N -w 5 other.test 7000").stdout, "two");
    assert_eq!(host.outcall(&["netns", "detach", "twin-1"]).status, 0);
    drop(one);
    let third = host.attach("third");
    assert_eq!(host.agent_sh(&third, TALK).stdout, "");
    assert_eq!(host.agent_sh(&two, TALK).stdout, "hello");
}
