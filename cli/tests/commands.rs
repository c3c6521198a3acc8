//! The command as a shell sees it: what it prints, where, and with which exit status.
#![expect(clippy::unwrap_used, reason = "a test stops where its fixtures cannot be set up")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const GOOD: &str = "version: \"1\"\nrules:\n  - id: docs\n    action: allow\n    condition: http.host == \"docs.example.com\"\n    description: the documentation\n";
const BAD: &str =
    "version: \"1\"\nrules:\n  - id: docs\n    action: allow\n    condition: http.hots == \"docs.example.com\"\n";
const WARNED: &str = "# outcall: allow OC9999 a code that does not exist\nversion: \"1\"\n";

fn outcall(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outcall"));
    command.args(arguments).current_dir(directory).env_clear().stdin(Stdio::null());
    command
}

fn check(directory: &Path, arguments: &[&str], status: i32) -> (String, String) {
    let Output { status: found, stdout, stderr } = outcall(directory, arguments).output().unwrap();
    let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert_eq!(found.code(), Some(status), "{arguments:?}\n{stdout}\n{stderr}");
    (stdout, stderr)
}

fn with(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

#[test]
fn compiling_says_what_came_of_it_in_its_exit_status() {
    let home = with(&[("good/a.yaml", GOOD), ("bad/a.yaml", BAD), ("warned/a.yaml", WARNED)]);
    let (stdout, _) = check(home.path(), &["compile", "good"], 0);
    assert_eq!(stdout, "Compiled 1 rule from 1 file.\n");
    let (stdout, _) = check(home.path(), &["compile", "bad"], 1);
    assert!(stdout.starts_with("error[OC0110]") && stdout.contains("bad/a.yaml:5:16"), "{stdout}");
    assert!(stdout.ends_with("Not compiled: 1 error.\n"), "{stdout}");
    let (stdout, _) = check(home.path(), &["compile", "warned"], 0);
    assert!(stdout.ends_with("with 1 warning. A policy without rules blocks everything.\n"), "{stdout}");
    check(home.path(), &["compile", "warned", "--deny", "warnings"], 1);
    check(home.path(), &["compile", "nowhere"], 2);
    check(home.path(), &["compile", "--nonsense"], 2);
    check(home.path(), &["compile", "good", "--check", "-o", "out"], 2);
    check(home.path(), &["nonsense"], 2);
    check(home.path(), &[], 2);
}

#[test]
fn the_default_directory_may_be_absent_or_empty_and_then_everything_is_blocked() {
    let home = with(&[]);
    let blocked = "Compiled 0 rules from 0 files. A policy without rules blocks everything.\n";
    assert_eq!(check(home.path(), &["compile"], 0).0, blocked);
    fs::create_dir(home.path().join("rules.d")).unwrap();
    assert_eq!(check(home.path(), &["compile"], 0).0, blocked);
    fs::write(home.path().join("rules.d/a.yaml"), GOOD).unwrap();
    assert_eq!(check(home.path(), &["compile"], 0).0, "Compiled 1 rule from 1 file.\n");
}

#[test]
fn artifacts_are_the_same_for_the_same_rules_wherever_they_stand() {
    let home = with(&[("here/a.yaml", GOOD), ("there/deeper/a.yaml", GOOD)]);
    check(home.path(), &["compile", "here", "-o", "one"], 0);
    check(home.path(), &["compile", "there/deeper", "-o", "two/three"], 0);
    let mut names: Vec<String> = fs::read_dir(home.path().join("one"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["dns.table", "manifest.json", "outcall.nft", "proxy.prog"]);
    for name in names {
        let (one, two) = (home.path().join("one").join(&name), home.path().join("two/three").join(&name));
        assert_eq!(fs::read(one).unwrap(), fs::read(two).unwrap(), "{name}");
    }
}

#[test]
fn nothing_is_written_when_it_is_only_checked_or_fails() {
    let home = with(&[("good/a.yaml", GOOD), ("bad/a.yaml", BAD), ("warned/a.yaml", WARNED), ("file", "")]);
    check(home.path(), &["compile", "good", "--check"], 0);
    check(home.path(), &["compile", "bad", "-o", "out"], 1);
    check(home.path(), &["compile", "warned", "--deny", "warnings", "-o", "out"], 1);
    assert!(!home.path().join("out").exists());
    let (_, stderr) = check(home.path(), &["compile", "good", "-o", "file"], 2);
    assert!(stderr.starts_with("outcall: cannot write to file: "), "{stderr}");
}

#[test]
fn a_failed_compilation_leaves_the_artifacts_that_were_there() {
    let home = with(&[("rules.d/a.yaml", GOOD)]);
    check(home.path(), &["compile", "-o", "out"], 0);
    let before = fs::read(home.path().join("out/manifest.json")).unwrap();
    fs::write(home.path().join("rules.d/a.yaml"), BAD).unwrap();
    check(home.path(), &["compile", "-o", "out"], 1);
    assert_eq!(fs::read(home.path().join("out/manifest.json")).unwrap(), before);
}

#[test]
fn json_is_one_document_with_everything_in_it() {
    let home = with(&[("a.yaml", BAD)]);
    let (stdout, _) = check(home.path(), &["compile", "a.yaml", "--format", "json"], 1);
    let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["summary"]["errors"], 1);
    assert_eq!(report["summary"]["compiled"], false);
    let finding = &report["findings"][0];
    for (key, value) in [("code", "OC0110"), ("severity", "error"), ("file", "a.yaml")] {
        assert_eq!(finding[key], value, "{key}");
    }
    for (key, value) in [("line", 5), ("column", 16), ("end_line", 5), ("end_column", 25)] {
        assert_eq!(finding[key], value, "{key}");
    }
    assert_eq!(finding["fix"]["replacement"], "http.host");
    let (stdout, _) = check(home.path(), &["compile", "nowhere", "--format", "json"], 2);
    let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(report["findings"][0]["code"], "OC0001");
}

#[test]
fn a_file_that_may_not_be_read_is_an_error_and_not_a_smaller_policy() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let home = with(&[("rules/a.yaml", GOOD), ("rules/b.yaml", GOOD)]);
    for (path, mode) in [("", 0o755), ("rules/b.yaml", 0o000)] {
        fs::set_permissions(home.path().join(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    let program = home.path().join("outcall");
    // In a process of its own; see the tests of `outcall ca`.
    assert!(Command::new("cp").arg(env!("CARGO_BIN_EXE_outcall")).arg(&program).status().unwrap().success());
    let mut command = Command::new(&program);
    command.args(["compile", "rules"]).current_dir(home.path()).env_clear();
    // Root may read everything.
    if fs::read(home.path().join("rules/b.yaml")).is_ok() {
        const NOBODY: u32 = 65534;
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stdout}");
    assert!(stdout.contains("`rules/b.yaml` cannot be read: permission denied"), "{stdout}");
}

#[test]
fn a_directory_that_is_gone_is_an_error_and_not_an_empty_policy() {
    let home = with(&[("rules/a.yaml", GOOD)]);
    let script = "cd rules && rm -r ../rules && exec \"$0\" compile .";
    let output = Command::new("/bin/sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_outcall")])
        .current_dir(home.path())
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stdout}");
    assert!(stdout.contains("OC0001"), "{stdout}");
}

#[test]
fn explaining_finds_every_code_and_suggests_the_nearest() {
    let home = with(&[]);
    let (list, _) = check(home.path(), &["explain"], 0);
    assert!(list.lines().count() > 50, "{list}");
    for line in list.lines() {
        let code = line.split(' ').next().unwrap();
        let (text, _) = check(home.path(), &["explain", code], 0);
        assert!(text.starts_with(code) && text.contains("For example:") && text.contains("Instead:"), "{text}");
    }
    let (_, stderr) = check(home.path(), &["explain", "OC005"], 1);
    assert!(stderr.contains("did you mean OC"), "{stderr}");
    let (json, _) = check(home.path(), &["explain", "oc0005", "--format", "json"], 0);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["code"], "OC0005");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let home = with(&[]);
    let mut child = outcall(home.path(), &["explain"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""));
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let home = with(&[]);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = outcall(home.path(), &["explain"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("cannot write to standard output"));
}

#[test]
fn colours_are_only_for_terminals() {
    let home = with(&[("a.yaml", BAD)]);
    let (stdout, _) = check(home.path(), &["compile", "a.yaml"], 1);
    assert!(!stdout.contains('\u{1b}'), "{stdout}");
}

#[test]
fn inspecting_prints_every_artifact_and_refuses_what_was_changed() {
    let home = with(&[("rules.d/a.yaml", GOOD)]);
    check(home.path(), &["compile", "-o", "out"], 0);
    assert!(check(home.path(), &["inspect", "out"], 0).0.contains("allow docs (a.yaml:3, priority 100)"));
    assert!(check(home.path(), &["inspect", "out", "nft"], 0).0.contains("table inet outcall"));
    for artifact in ["dns", "proxy"] {
        assert!(check(home.path(), &["inspect", "out", artifact], 0).0.contains("docs"), "{artifact}");
    }
    check(home.path(), &["inspect", "nowhere"], 2);
    for name in ["outcall.nft", "dns.table", "proxy.prog", "manifest.json"] {
        let path = home.path().join("out").join(name);
        let whole = fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        for damaged in [flipped.as_slice(), &whole[..middle], &[]] {
            fs::write(&path, damaged).unwrap();
            let (_, stderr) = check(home.path(), &["inspect", "out"], 1);
            assert!(stderr.starts_with(&format!("outcall: {name}: ")), "{stderr}");
        }
        fs::write(&path, whole).unwrap();
    }
}
