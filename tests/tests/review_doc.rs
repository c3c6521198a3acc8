//! `docs/review.md` shows what the commands print: they are run, in order, in a repository with the rules that the page
//! begins with committed and those of the pull request in the working tree.
#![cfg(test)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use outcall_tests::{fixtures::world, golden};

fn page() -> PathBuf {
    golden::root().join("docs/review.md")
}

/// The fenced blocks of a language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("\n```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split_once("```").unwrap().0).collect()
}

/// Runs a line in a shell that finds `outcall`: what it prints on both ways out, and its status.
fn shell(home: &Path, line: &str, last: i32) -> (String, i32) {
    let outcall = world::binary("outcall");
    let output = Command::new("sh")
        .args(["-c", &format!("(exit {last})\n{line}")])
        .current_dir(home)
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", outcall.parent().unwrap().display()))
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (text, output.status.code().unwrap())
}

#[test]
fn the_page_shows_what_the_commands_print() {
    let written = std::fs::read_to_string(page()).unwrap();
    let rules = blocks(&written, "yaml");
    assert_eq!(rules.len(), 2, "the rules in force, and those of the pull request");
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("rules.d/10-docs.yaml");
    std::fs::create_dir(home.path().join("rules.d")).unwrap();
    std::fs::write(&file, rules[0]).unwrap();
    let commit = "git init -q && git add . && git -c user.name=test -c user.email=test@example.com commit -q -m first";
    assert_eq!(shell(home.path(), commit, 0), (String::new(), 0));
    std::fs::write(&file, rules[1]).unwrap();
    let mut text = written.clone();
    let (mut status, mut run) = (0, 0);
    for block in blocks(&written, "console") {
        let mut now = String::new();
        for line in block.lines().filter_map(|line| line.strip_prefix("$ ")) {
            let (printed, ended) = shell(home.path(), line, status);
            status = ended;
            run += 1;
            now.push_str(&format!("$ {line}\n{printed}"));
            now.truncate(now.trim_end().len());
            now.push('\n');
        }
        text = text.replacen(&format!("```console\n{block}```"), &format!("```console\n{now}```"), 1);
    }
    assert!(run >= 10, "{run} commands");
    golden::check_file(&page(), &text);
    // What is said of the end of the story.
    let (told, _) = shell(home.path(), "outcall query 'http.host == \"notexample.com\"'", 0);
    assert_eq!(told, "No request can be allowed: proven for every layer.\n");
}
