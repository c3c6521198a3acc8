//! The tools that work on rule files, as a shell sees them.
#![expect(clippy::unwrap_used, reason = "a test stops where its fixtures cannot be set up")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const MESSY: &str = "# the docs\nversion: 1\nrules:\n- action: allow # why\n  id: \"docs\"\n  condition: |-\n     http.host == \"docs.example.com\"\n";
const NEAT: &str = "# the docs\nversion: \"1\"\n\nrules:\n  - id: docs\n    condition: |-\n      http.host == \"docs.example.com\"\n    action: allow  # why\n";
const BROKEN: &str = "version: \"1\"\nrules:\n- id: docs\n  conditon: 'true'\n  action: allow\n";

fn outcall(directory: &Path, arguments: &[&str], stdin: &str) -> (i32, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_outcall"))
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[track_caller]
fn check(directory: &Path, arguments: &[&str], status: i32) -> (String, String) {
    let (found, stdout, stderr) = outcall(directory, arguments, "");
    assert_eq!(found, status, "{arguments:?}\n{stdout}\n{stderr}");
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

fn read(home: &tempfile::TempDir, name: &str) -> String {
    fs::read_to_string(home.path().join(name)).unwrap()
}

#[test]
fn formatting_changes_files_in_place_and_says_which() {
    let home = with(&[("rules.d/a.yaml", MESSY), ("rules.d/b.yaml", NEAT)]);
    let (stdout, _) = check(home.path(), &["fmt", "--check"], 1);
    assert_eq!(stdout, "rules.d/a.yaml\n");
    assert_eq!(read(&home, "rules.d/a.yaml"), MESSY);
    let (stdout, _) = check(home.path(), &["fmt", "--check", "--diff"], 1);
    assert!(
        stdout.starts_with("--- a/rules.d/a.yaml\n+++ b/rules.d/a.yaml\n@@ ") && stdout.contains("\n-version: 1\n"),
        "{stdout}"
    );
    let (stdout, _) = check(home.path(), &["fmt"], 0);
    assert_eq!(stdout, "rules.d/a.yaml\n");
    assert_eq!(read(&home, "rules.d/a.yaml"), NEAT);
    assert_eq!(check(home.path(), &["fmt", "--check", "rules.d/a.yaml"], 0).0, "");
    assert_eq!(fs::read_dir(home.path().join("rules.d")).unwrap().count(), 2, "nothing else is left there");
}

#[test]
fn permissions_and_links_stay_when_a_file_is_replaced() {
    let home = with(&[("real/a.yaml", MESSY), ("rules.d/.keep", "")]);
    fs::set_permissions(home.path().join("real/a.yaml"), fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("../real/a.yaml", home.path().join("rules.d/a.yaml")).unwrap();
    check(home.path(), &["fmt"], 0);
    assert!(fs::symlink_metadata(home.path().join("rules.d/a.yaml")).unwrap().is_symlink());
    assert_eq!(read(&home, "real/a.yaml"), NEAT);
    assert_eq!(fs::metadata(home.path().join("real/a.yaml")).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn a_file_with_errors_is_left_alone_and_the_others_are_not() {
    let home = with(&[("rules.d/a.yaml", BROKEN), ("rules.d/b.yaml", MESSY)]);
    let (stdout, stderr) = check(home.path(), &["fmt"], 1);
    assert_eq!(stdout, "rules.d/b.yaml\n");
    assert!(stderr.starts_with("error[OC0015]") && stderr.contains("rules.d/a.yaml:4:3"), "{stderr}");
    assert_eq!(read(&home, "rules.d/a.yaml"), BROKEN);
    let (_, stderr) = check(home.path(), &["fmt", "nowhere"], 2);
    assert!(stderr.contains("cannot be read"), "{stderr}");
}

#[test]
fn standard_input_is_formatted_to_standard_output() {
    let home = with(&[]);
    assert_eq!(outcall(home.path(), &["fmt", "-"], MESSY), (0, NEAT.to_owned(), String::new()));
    assert_eq!(outcall(home.path(), &["fmt", "-", "--check"], MESSY).0, 1);
    assert_eq!(outcall(home.path(), &["fmt", "-", "--check"], NEAT).0, 0);
    let (status, stdout, stderr) = outcall(home.path(), &["fmt", "-"], BROKEN);
    assert_eq!((status, stdout.as_str()), (1, ""));
    assert!(stderr.contains("OC0015"), "{stderr}");
}

const MISSPELT: &str =
    "version: \"1\"\nrules:\n  - id: docs\n    acton: allow\n    conditon: http.hots == \"docs.example.com\"\n";
const MENDED: &str =
    "version: \"1\"\nrules:\n  - id: docs\n    action: allow\n    condition: http.host == \"docs.example.com\"\n";

#[test]
fn fixing_says_what_it_changed_and_what_is_left() {
    let home = with(&[("rules.d/a.yaml", MISSPELT)]);
    let (stdout, _) = check(home.path(), &["fix", "--dry-run"], 0);
    assert!(stdout.contains("\n-    acton: allow\n") && stdout.contains("\n+    action: allow\n"), "{stdout}");
    assert_eq!(read(&home, "rules.d/a.yaml"), MISSPELT);
    let (stdout, _) = check(home.path(), &["fix"], 0);
    assert_eq!(
        stdout,
        "rules.d/a.yaml:4 OC0015 `acton` is now `action`\nrules.d/a.yaml:5 OC0015 `conditon` is now `condition`\n\
         rules.d/a.yaml:5 OC0110 `http.hots` is now `http.host`\n"
    );
    assert_eq!(read(&home, "rules.d/a.yaml"), MENDED);
    assert_eq!(check(home.path(), &["fix"], 0).0, "");
    fs::write(home.path().join("rules.d/a.yaml"), MISSPELT.replace("docs\n", "no name\n")).unwrap();
    let (stdout, stderr) = check(home.path(), &["fix"], 1);
    assert_eq!(stdout.lines().count(), 3, "{stdout}");
    assert!(stderr.contains("1 error is left"), "{stderr}");
}

#[test]
fn nothing_is_fixed_when_a_part_of_the_rules_cannot_be_read() {
    let home = with(&[("rules.d/a.yaml", MISSPELT)]);
    std::os::unix::fs::symlink("gone", home.path().join("rules.d/b.yaml")).unwrap();
    check(home.path(), &["fix"], 2);
    assert_eq!(read(&home, "rules.d/a.yaml"), MISSPELT);
}

/// The commands that the help names.
fn commands(home: &tempfile::TempDir) -> Vec<String> {
    let (help, _) = check(home.path(), &["--help"], 0);
    let names =
        help.lines().skip_while(|line| !line.starts_with("Commands:")).skip(1).take_while(|line| !line.is_empty());
    let names = names.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names: Vec<String> = names.filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect();
    assert!(names.len() > 8, "{names:?}");
    names
}

#[test]
fn every_command_can_be_completed_in_every_shell() {
    let home = with(&[]);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (script, _) = check(home.path(), &["completions", shell], 0);
        for command in commands(&home) {
            assert!(script.contains(&command), "{shell} does not know {command}");
        }
    }
    let (script, _) = check(home.path(), &["completions", "bash"], 0);
    // It is longer than an argument may be.
    let file = home.path().join("outcall.bash");
    std::fs::write(&file, script).unwrap();
    let output =
        Command::new("bash").args(["-c", ". \"$1\" && complete -p outcall", "bash"]).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    check(home.path(), &["completions", "nonsense"], 2);
}

#[test]
fn every_command_has_a_manual_page() {
    let home = with(&[("file", "")]);
    check(home.path(), &["man", "share/man1"], 0);
    assert!(read(&home, "share/man1/outcall.1").contains(".TH outcall 1"));
    for command in commands(&home).iter().filter(|command| *command != "help") {
        let page = read(&home, &format!("share/man1/outcall-{command}.1"));
        assert!(page.contains(".SH SYNOPSIS") && page.contains(".SH OPTIONS"), "{command}: {page}");
    }
    check(home.path(), &["man", "file"], 2);
}
