//! `outcall doctor` and `outcall rules test` as a shell sees them. Neither asks a daemon for what it says.
#![expect(clippy::unwrap_used, reason = "a test stops where its fixtures cannot be set up")]

use std::process::{Command, Output, Stdio};

#[track_caller]
fn check(arguments: &[&str], status: i32) -> (String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outcall"));
    let output = command.args(arguments).env_clear().stdin(Stdio::null()).output().unwrap();
    let Output { status: found, stdout, stderr } = output;
    let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert_eq!(found.code(), Some(status), "{arguments:?}\n{stdout}\n{stderr}");
    (stdout, stderr)
}

#[test]
fn a_host_without_a_daemon_is_told_what_starts_it() {
    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("s");
    let at = ["--socket", socket.to_str().unwrap(), "doctor"];
    let (text, _) = check(&at, 1);
    assert!(
        text.contains("missing  outcalld: nobody serves at") && text.contains("$ systemctl start outcalld"),
        "{text}"
    );
    assert!(text.contains("needed"), "{text}");
    let (text, _) = check(&[at.as_slice(), &["--json"]].concat(), 1);
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report.get("ready"), Some(&false.into()));
    let checks = report.get("checks").and_then(serde_json::Value::as_array).unwrap();
    for line in checks {
        let text = |name: &str| line.get(name).and_then(serde_json::Value::as_str);
        assert!(text("id").is_some() && text("why").is_some() && text("found").is_some(), "{line}");
        let mends = matches!(text("status"), Some("missing" | "advised"));
        assert_eq!(text("fix").is_some(), mends, "{line}");
    }
    assert!(checks.len() > 15);
    check(&["doctor", "--artifacts", "/nonexistent"], 2);
    check(&["doctor", "--gateway", "x"], 2);
}

#[test]
fn a_condition_is_tried_without_anybody_behind_a_socket() {
    let context = r#"{"http": {"host": "A.example", "path": "/v1/x", "scheme": "https"}, "agent": {"name": "ci"}}"#;
    for (expression, said) in [
        (r#"http.host == "a.example" && agent.name == "ci""#, "true\n"),
        (r#"http.path.startsWith("/v2")"#, "false\n"),
        (r#"dns.query == "a.example""#, "unknown\n"),
    ] {
        assert_eq!(check(&["rules", "test", expression, "--context", context], 0).0, said, "{expression}");
    }
    let (text, _) = check(&["rules", "test", "--json", "true", "--context", context], 0);
    let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer, serde_json::json!({"result": true, "error": null, "layer": "https"}));
    let (_, said) = check(&["rules", "test", "http.hots == \"a\"", "--context", context], 1);
    assert!(said.contains("OC01"), "{said}");
    for context in ["{}", "{", r#"{"http":{"hots":"a"}}"#, r#"{"http":{"host":"a","host":"b"}}"#, "nowhere.json"] {
        check(&["rules", "test", "true", "--context", context], 2);
    }
    let known = r#"{"dns":{"query":"a.example"}}"#;
    check(&["rules", "test", "true", "--context", known, "--layer", "http"], 2);
    check(&["rules", "test", "true", "--context", known, "--layer", "nonsense"], 2);
}

#[test]
fn commands_that_ask_say_where_nobody_serves() {
    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("s");
    let socket = socket.to_str().unwrap();
    let expected = format!("outcall: cannot connect to outcalld at {socket}: is it running?\n");
    for arguments in [
        ["rules", "list"].as_slice(),
        &["rules", "show", "a"],
        &["rules", "rollback"],
        &["rules", "reload", "--artifacts"],
        &["dns", "status"],
        &["dns", "test", "a.example"],
        &["dns", "cache"],
        &["dns", "flush"],
        &["proxy", "status"],
        &["bridge", "status"],
        &["netns", "list"],
        &["netns", "detach", "a"],
        &["events"],
        &["metrics"],
        &["top", "--once"],
    ] {
        assert_eq!(check(&[&["--socket", socket], arguments].concat(), 1).1, expected, "{arguments:?}");
    }
    check(&["--socket", socket, "netns", "attach", "/proc/1/ns/net"], 2);
    check(&["--socket", socket, "rules", "reload", "/nonexistent"], 2);
}

#[test]
fn rules_that_do_not_compile_are_not_sent() {
    let home = tempfile::tempdir().unwrap();
    let rules = home.path().join("a.yaml");
    std::fs::write(&rules, "version: \"1\"\nrules:\n  - id: a\n    action: allow\n    condition: http.hots == \"a\"\n")
        .unwrap();
    let socket = home.path().join("s");
    let arguments = ["--socket", socket.to_str().unwrap(), "rules", "reload", rules.to_str().unwrap()];
    let (_, said) = check(&arguments, 1);
    assert!(said.contains("error[OC0110]") && !said.contains("cannot connect"), "{said}");
}
