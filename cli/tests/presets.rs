//! `outcall presets`, and `preset:NAME` where rules are asked about.
#![expect(clippy::unwrap_used, reason = "a test stops where its fixtures cannot be set up")]

use std::process::{Command, Stdio};

fn check(arguments: &[&str], status: i32) -> (String, String) {
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_outcall"))
        .args(arguments)
        .current_dir(home.path())
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(status), "{arguments:?}\n{stdout}\n{stderr}");
    (stdout, stderr)
}

#[test]
fn presets_are_listed_and_printed() {
    let (list, _) = check(&["presets"], 0);
    for name in ["github-readonly", "package-mirror", "slack-webhook"] {
        assert!(list.lines().any(|line| line == name), "{list}");
        let (text, _) = check(&["presets", name], 0);
        let file = format!("{}/../rules.d/presets/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        assert_eq!(text, std::fs::read_to_string(file).unwrap());
    }
    assert!(list.contains("organisation (string, required): the organisation"), "{list}");
    assert!(list.contains("hosts (hosts, default [gitlab.com]): "), "{list}");
    let (all, _) = check(&["presets", "--format", "json"], 0);
    let all: serde_json::Value = serde_json::from_str(&all).unwrap();
    let sentry = all.as_array().unwrap().iter().find(|row| row["name"] == "sentry").unwrap();
    assert_eq!(sentry["needs_interception"], true);
    assert_eq!(sentry["parameters"][1]["form"], "a number");
    assert_eq!(sentry["rules"][0], "send-events");
    let (_, complaint) = check(&["presets", "github-readonyl"], 1);
    assert_eq!(complaint, "outcall: there is no preset `github-readonyl`; did you mean github-readonly?\n");
}

#[test]
fn a_preset_can_be_tested_and_asked_alone() {
    let (report, _) = check(&["test", "preset:github-push"], 0);
    assert!(report.contains(" 0 failed\n") && report.contains("rules: 3 of 3 decided some test"), "{report}");
    let push = "https://github.com/acme/app.git/git-receive-pack";
    let (why, _) = check(&["why", "preset:github-push", "POST", push], 0);
    assert!(why.contains("allowed by github-push.push (preset:github-push:"), "{why}");
    check(&["why", "preset:github-push", "POST", &push.replace("acme", "evil")], 1);
    let (_, complaint) = check(&["test", "preset:nothing"], 1);
    assert!(complaint.starts_with("outcall: there is no preset `nothing`"), "{complaint}");
}
