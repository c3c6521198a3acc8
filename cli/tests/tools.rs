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
