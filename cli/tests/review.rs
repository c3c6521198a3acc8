//! `outcall diff` and `outcall query` as a shell sees them: their exit statuses, and what they say to bad input.
#![expect(clippy::unwrap_used, reason = "a test stops where its fixtures cannot be set up")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const DOCS: &str = "version: \"1\"\nrules:\n  - id: docs\n    description: the documentation\n    action: allow\n    condition: http.host == \"docs.example.com\"\n";
const BAD: &str =
    "version: \"1\"\nrules:\n  - id: docs\n    action: allow\n    condition: http.hots == \"docs.example.com\"\n";

/// What a refusal of bad input may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the command with nothing of git's configuration around it: what it printed, on both ways out.
#[track_caller]
fn check(home: &Path, arguments: &[&str], status: i32) -> (String, String) {
    let begun = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_outcall"));
    command.args(arguments).current_dir(home).env_clear().stdin(Stdio::null());
    command.env("PATH", "/usr/bin:/bin").env("GIT_CEILING_DIRECTORIES", home.parent().unwrap());
    let Output { status: found, stdout, stderr } = command.output().unwrap();
    let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    let shown: Vec<String> = arguments.iter().map(|word| word.chars().take(60).collect()).collect();
    assert_eq!(found.code(), Some(status), "{shown:?}\n{stdout}\n{stderr}");
    assert!(!stderr.contains("panicked"), "{shown:?}\n{stderr}");
    assert!(begun.elapsed() < PATIENCE, "{shown:?} took {:?}", begun.elapsed());
    (stdout, stderr)
}

/// Is refused before anything is said on standard output, for a reason that has these words.
#[track_caller]
fn refused(home: &Path, arguments: &[&str], status: i32, words: &str) {
    let (stdout, stderr) = check(home, arguments, status);
    assert_eq!(stdout, "");
    assert!(stderr.contains(words), "no {words:?} in {stderr}");
}

fn with(files: &[(&str, &str)]) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = home.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    home
}

fn git(home: &Path, arguments: &[&str]) {
    let identity = ["-c", "user.name=test", "-c", "user.email=test@example.com"];
    let mut command = Command::new("git");
    command.args(identity).args(arguments).current_dir(home);
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
    let output = command.output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A repository in which the rules were committed, and then others written.
fn repository(before: &str, now: &str) -> tempfile::TempDir {
    let home = with(&[("rules.d/a.yaml", before)]);
    git(home.path(), &["init", "-q"]);
    git(home.path(), &["add", "."]);
    git(home.path(), &["commit", "-q", "-m", "first"]);
    fs::write(home.path().join("rules.d/a.yaml"), now).unwrap();
    home
}

fn wider() -> String {
    format!(
        "{DOCS}  - {{id: wiki, description: the wiki, action: allow, condition: http.host == \"wiki.example.com\"}}\n"
    )
}

#[test]
fn widening_fails_only_where_it_is_denied() {
    let home = with(&[("old/a.yaml", DOCS), ("new/a.yaml", &wider()), ("bad/a.yaml", BAD), ("empty/note", "")]);
    for format in ["human", "markdown", "json"] {
        let (told, _) = check(home.path(), &["diff", "old", "new", "--format", format], 0);
        let (again, _) = check(home.path(), &["diff", "old", "new", "--format", format, "--deny", "widening"], 3);
        assert_eq!(told, again);
        assert!(told.contains("GET http://wiki.example.com/"), "{told}");
    }
    // What only closes, and what changes nothing, passes.
    check(home.path(), &["diff", "new", "old", "--deny", "widening"], 0);
    let (told, _) = check(home.path(), &["diff", "old", "old", "--deny", "widening"], 0);
    assert_eq!(told, "No semantic change: every request is treated as before.\n");
    // All is wider than nothing.
    check(home.path(), &["diff", "empty", "old", "--deny", "widening"], 3);
    check(home.path(), &["diff", "old", "empty", "--deny", "widening"], 0);
    for sides in [["bad", "new"], ["old", "bad"]] {
        refused(home.path(), &["diff", sides[0], sides[1], "--deny", "widening"], 1, "error[OC0110]");
    }
    refused(home.path(), &["diff", "old", "new", "--deny", "everything"], 2, "widening");
}

#[test]
fn what_is_not_proven_is_denied_too() {
    let rule = |condition: &str| {
        format!("version: \"1\"\nrules:\n  - {{id: a, description: it, action: allow, condition: '{condition}'}}\n")
    };
    let (old, new) = (rule("size(docker.image) * 2 == 8"), rule("size(docker.image) * 2 == 10 - 2"));
    let home = with(&[("old/a.yaml", &old), ("new/a.yaml", &new)]);
    let (told, _) = check(home.path(), &["diff", "old", "new"], 0);
    assert!(told.starts_with("Not proven"), "{told}");
    check(home.path(), &["diff", "old", "new", "--deny", "widening"], 3);
}

#[test]
fn query_says_in_its_exit_status_whether_there_is_such_a_request() {
    let home = with(&[("rules.d/a.yaml", DOCS)]);
    let (told, _) = check(home.path(), &["query", "http.host == \"docs.example.com\""], 0);
    assert!(told.starts_with("Yes: such requests are allowed.\n"), "{told}");
    let (told, _) = check(home.path(), &["query", "rules.d", "http.host == \"wiki.example.com\""], 1);
    assert_eq!(told, "No request can be allowed: proven for every layer.\n");
    check(home.path(), &["query", "http.host == \"wiki.example.com\"", "--decision", "block"], 0);
    check(home.path(), &["query"], 2);
}

#[test]
fn an_expression_that_is_none_is_refused_with_its_place() {
    let home = with(&[("rules.d/a.yaml", DOCS)]);
    let huge = format!("http.host == \"{}\"", "a".repeat(70_000));
    let deep = format!("{}true{}", "(".repeat(20_000), ")".repeat(20_000));
    for (expression, code, place) in [
        ("http.host == 3", "OC0113", "EXPRESSION:1:1"),
        ("true &&\n  http.hots == \"x\"", "OC0110", "EXPRESSION:2:3"),
        ("http.host == ", "OC0101", "EXPRESSION:1:"),
        ("http.host", "OC0114", "EXPRESSION:1:1"),
        ("", "OC0101", "EXPRESSION"),
        ("\u{1b}[2J", "OC01", "EXPRESSION:1:1"),
        (&huge, "OC0102", "EXPRESSION:1:1"),
        (&deep, "OC0103", "EXPRESSION:1:65"),
    ] {
        refused(home.path(), &["query", "rules.d", expression], 2, place);
        let (_, stderr) = check(home.path(), &["query", "rules.d", expression], 2);
        assert!(stderr.starts_with(&format!("error[{code}")), "{expression:.60}: {stderr}");
        assert!(stderr.contains("= help: ") && !stderr.contains('\u{1b}'), "{stderr}");
        assert!(stderr.len() < 2_000, "{} bytes are said of {expression:.60}", stderr.len());
    }
}

#[test]
fn rules_that_are_not_there_are_refused() {
    let home = with(&[("rules.d/a.yaml", DOCS)]);
    refused(home.path(), &["diff", "nowhere", "rules.d"], 2, "`nowhere` cannot be read");
    refused(home.path(), &["diff", "rules.d", "nowhere"], 2, "`nowhere` cannot be read");
    refused(home.path(), &["query", "nowhere", "true"], 2, "`nowhere` cannot be read");
    refused(home.path(), &["diff", "rules.d"], 2, "<NEW>");
    refused(home.path(), &["diff"], 2, "<OLD>");
    refused(home.path(), &["diff", "", ""], 2, "cannot be read");
}

#[test]
fn a_revision_is_one_side_of_a_comparison() {
    let home = repository(DOCS, &wider());
    for old in ["git:HEAD", "git:HEAD:rules.d", "git:HEAD:rules.d/", "git:HEAD:rules.d/a.yaml"] {
        let (told, _) = check(home.path(), &["diff", old, "rules.d", "--deny", "widening"], 3);
        assert!(told.contains("wiki.example.com") && !told.contains("docs.example.com"), "{told}");
    }
    check(home.path(), &["query", "git:HEAD", "http.host == \"wiki.example.com\""], 1);
    check(home.path(), &["query", "http.host == \"wiki.example.com\""], 0);
}

#[test]
fn a_revision_that_is_not_there_is_refused() {
    let outside = with(&[("rules.d/a.yaml", DOCS)]);
    refused(outside.path(), &["diff", "git:HEAD", "rules.d"], 2, "not a git repository");
    let home = repository(DOCS, DOCS);
    for (word, words) in [
        ("git:nope", "there is no revision `nope`"),
        ("git:0123456789abcdef0123456789abcdef01234567", "there is no revision"),
        ("git:HEAD:../elsewhere", "outside repository"),
        ("git:", "is no revision"),
        ("git::rules.d", "is no revision"),
        ("git:--output=pwned", "is no revision"),
        ("git:HEAD\n", "there is no revision"),
    ] {
        for arguments in [["diff", word, "rules.d"], ["diff", "rules.d", word], ["query", word, "true"]] {
            refused(home.path(), &arguments, 2, words);
        }
    }
    assert!(!home.path().join("pwned").exists());
}

#[test]
fn a_path_that_a_revision_does_not_have_is_nothing_only_before_a_change() {
    let home = repository(DOCS, DOCS);
    // There were no rules yet, which is said.
    let (told, said) = check(home.path(), &["diff", "git:HEAD:nowhere", "rules.d", "--deny", "widening"], 3);
    assert!(told.contains("docs.example.com"), "{told}");
    assert!(said.contains("taken for a policy that blocks everything"), "{said}");
    refused(home.path(), &["diff", "rules.d", "git:HEAD:nowhere"], 2, "there are no rules at git:HEAD:nowhere");
    refused(home.path(), &["query", "git:HEAD:nowhere", "true"], 2, "there are no rules at git:HEAD:nowhere");
}

/// The questions that take artifacts, with the status of those that are damaged: `inspect` looks into that.
fn questions(damaged: &str) -> [(Vec<&str>, i32); 5] {
    [
        (vec!["diff", damaged, "rules.d"], 2),
        (vec!["diff", "rules.d", damaged], 2),
        (vec!["query", damaged, "true"], 2),
        (vec!["why", damaged, "dns", "docs.example.com"], 2),
        (vec!["inspect", damaged], 1),
    ]
}

#[test]
fn artifacts_are_asked_like_the_rules_they_came_from() {
    let home = with(&[("rules.d/a.yaml", DOCS)]);
    check(home.path(), &["compile", "rules.d", "-o", "dist"], 0);
    for sides in [["dist", "rules.d"], ["rules.d", "dist"], ["dist", "dist"]] {
        let (told, _) = check(home.path(), &["diff", sides[0], sides[1], "--deny", "widening"], 0);
        assert_eq!(told, "No semantic change: every request is treated as before.\n");
    }
    let expression = "http.host == \"docs.example.com\"";
    let asked = |paths| check(home.path(), &["query", paths, expression], 0).0;
    assert_eq!(asked("dist"), asked("rules.d"));
}

#[test]
fn artifacts_that_are_damaged_or_of_another_format_are_refused() {
    let home = with(&[("rules.d/a.yaml", DOCS), ("other/a.yaml", &wider())]);
    check(home.path(), &["compile", "rules.d", "-o", "dist"], 0);
    check(home.path(), &["compile", "other", "-o", "theirs"], 0);
    let damaged = home.path().join("damaged");
    let names = ["manifest.json", "dns.table", "proxy.prog", "outcall.nft"];
    let restore = || {
        fs::create_dir_all(&damaged).unwrap();
        for name in names {
            fs::copy(home.path().join("dist").join(name), damaged.join(name)).unwrap();
        }
    };
    for name in names {
        let bytes = fs::read(home.path().join("dist").join(name)).unwrap();
        let mut flipped = bytes.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        let theirs = fs::read(home.path().join("theirs").join(name)).unwrap();
        for damage in [&flipped[..], &bytes[..middle], &[], &theirs] {
            restore();
            fs::write(damaged.join(name), damage).unwrap();
            for (arguments, status) in questions("damaged") {
                refused(home.path(), &arguments, status, "outcall: ");
                // With the manifest of others it is the files beside it that do not belong to it.
                let (_, said) = check(home.path(), &arguments, status);
                assert!(said.contains(name) || (name == "manifest.json" && said.contains("digest")), "{name}: {said}");
            }
        }
        restore();
        fs::remove_file(damaged.join(name)).unwrap();
        if name != "manifest.json" {
            for (arguments, _) in questions("damaged") {
                refused(home.path(), &arguments, 2, "cannot read");
            }
        }
    }
    restore();
    let manifest = fs::read_to_string(damaged.join("manifest.json")).unwrap();
    let newer = manifest.replacen("\"version\": 1,", "\"version\": 2,", 1);
    assert_ne!(newer, manifest);
    fs::write(damaged.join("manifest.json"), newer).unwrap();
    for (arguments, status) in questions("damaged") {
        refused(home.path(), &arguments, status, "format version 2 is not supported, this build reads version 1");
    }
}

#[test]
fn exit_statuses_are_in_the_help() {
    let home = with(&[]);
    let (help, _) = check(home.path(), &["--help"], 0);
    let codes = help.split_once("Exit codes:\n").unwrap().1;
    for code in ["  0  done", "  1  failed", "  2  called wrongly", "  3  `diff --deny widening`"] {
        assert!(codes.contains(code), "{code}\n{codes}");
    }
    for command in ["compile", "diff", "query", "why", "test", "fmt", "fix", "inspect", "lsp"] {
        let (help, _) = check(home.path(), &[command, "--help"], 0);
        assert!(help.contains("Exits with 0 "), "{command}\n{help}");
    }
    let (help, _) = check(home.path(), &["diff", "--help"], 0);
    assert!(help.split_whitespace().collect::<Vec<_>>().join(" ").contains("--deny widening, exits with 3"), "{help}");
}

#[test]
fn what_is_not_proven_names_the_rules_that_stand_in_the_way() {
    let own = |suffix: &str| {
        format!(
            "version: \"1\"\nrules:\n  - id: own-host\n    description: d\n    action: allow\n    \
             condition: http.host == agent.name + \"{suffix}\"\n"
        )
    };
    let home = with(&[("old/a.yaml", &own(".example")), ("new/a.yaml", &own(".example.net"))]);
    let (said, _) = check(home.path(), &["query", "old", "http.host == \"a.example.org\" && agent.name == \"b\""], 2);
    assert!(said.starts_with("Not proven in ") && said.contains("https (because of own-host)"), "{said}");
    let (said, _) = check(home.path(), &["diff", "old", "new"], 0);
    assert!(said.starts_with("Not proven that there is nothing more at: "), "{said}");
    assert!(said.contains("https (because of own-host)"), "{said}");
    check(home.path(), &["diff", "--deny", "widening", "old", "new"], 3);
    let (said, _) = check(home.path(), &["compile", "--check", "--stats", "old"], 0);
    assert!(said.contains("which rules are ever reached"), "{said}");
}
