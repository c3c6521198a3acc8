//! What the house rules promise and no compiler checks: who may depend on whom, where `unsafe` lives, that prose names
//! only what exists.
#![cfg(test)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Files over the limit of lines, each with its reason.
const LONG: &[(&str, &str)] = &[
    ("Cargo.lock", "written by cargo"),
    ("LICENSE", "the licence's own text"),
    ("compiler/LINTS.md", "printed from the table of lints"),
    ("tests/adversarial/README.md", "printed from the table of techniques"),
];

/// Past this a file has probably two subjects.
const LINES: usize = 800;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Every file that is or could be committed, with its text; binary files are left out.
fn files() -> Vec<(String, String)> {
    let list = Command::new("git")
        .args(["-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(list.status.success(), "git lists the files: {}", String::from_utf8_lossy(&list.stderr));
    let names = String::from_utf8(list.stdout).unwrap();
    let mut files: Vec<(String, String)> = names
        .lines()
        .filter_map(|name| Some((name.to_owned(), std::fs::read_to_string(root().join(name)).ok()?)))
        .collect();
    files.sort();
    files.dedup();
    assert!(files.len() > 20, "the tree has files");
    files
}

fn rust() -> Vec<(String, String)> {
    files().into_iter().filter(|(name, _)| name.ends_with(".rs")).collect()
}

/// The crates in the normal dependency tree of `package`.
fn tree(package: &str) -> BTreeSet<String> {
    let output = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()))
        .args(["tree", "--locked", "--offline", "--edges", "normal", "--prefix", "none", "--format", "{lib}|{p}"])
        .args(["--target", "all", "--package", package])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let crates: BTreeSet<String> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| Some(line.split_once('|')?.1.split(' ').next()?.to_owned()))
        .collect();
    assert!(crates.contains(package));
    crates
}

#[track_caller]
fn check_none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

#[test]
fn dependencies_point_one_way() {
    let schema = tree("outcall-schema");
    let compiler = tree("outcall-compiler");
    let runtime = tree("outcall-runtime");
    let cli = tree("outcall-cli");
    let agent: Vec<String> = tree("outcall-agent").into_iter().filter(|name| name.starts_with("outcall-")).collect();
    assert_eq!(agent, ["outcall-agent"], "the shim stands alone");
    for (tree, forbidden) in [
        (&schema, ["outcall-compiler", "outcall-runtime", "outcall-cli", "tokio"].as_slice()),
        (&compiler, &["outcall-runtime", "outcall-cli", "tokio"]),
        (&runtime, &["outcall-compiler", "outcall-cli"]),
        (&cli, &["outcall-runtime"]),
    ] {
        for name in forbidden {
            assert!(!tree.contains(*name), "{name} is in a tree it has no place in");
        }
    }
}

/// Invariant: the enforcing process contains no parser of YAML, CEL or regular expressions.
#[test]
fn the_runtime_has_no_parser_of_policies() {
    const PARSERS: &[&str] =
        &["yaml", "granit", "saphyr", "libyml", "cel", "regex", "pest", "antlr", "fancy-regex", "pcre", "onig"];
    for package in ["outcall-runtime", "outcall-schema"] {
        let found: Vec<String> = tree(package)
            .into_iter()
            .filter(|name| {
                name.split(['-', '_'])
                    .any(|word| PARSERS.iter().any(|parser| word.trim_end_matches(char::is_numeric) == *parser))
                    || name.contains("yaml")
            })
            .collect();
        check_none(&format!("{package} depends on parsers of policies"), &found);
    }
    let seen = tree("outcall-compiler");
    assert!(
        ["granit-parser", "pest", "regex-syntax"].iter().all(|name| seen.contains(*name)),
        "the check sees parsers"
    );
}

/// A line without comments and string literals, near enough for looking for words.
fn code_of(line: &str) -> String {
    let mut out = String::new();
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if quoted => drop(chars.next()),
            '"' => quoted = !quoted,
            '/' if !quoted && chars.peek() == Some(&'/') => break,
            _ if quoted => {}
            _ => out.push(c),
        }
    }
    out
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

#[test]
fn unsafe_lives_in_one_module() {
    let mut found = Vec::new();
    for (name, text) in rust() {
        if name.starts_with("runtime/src/sys/") || name == "runtime/src/sys.rs" {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            if words(&code_of(line)).any(|word| word == "unsafe") {
                found.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    check_none("unsafe outside runtime/src/sys", &found);
    for name in [
        "schema/src/lib.rs",
        "compiler/src/lib.rs",
        "cli/src/main.rs",
        "cli/agent/src/main.rs",
        "tests/src/lib.rs",
        "tests/adversarial/src/lib.rs",
    ] {
        let text = std::fs::read_to_string(root().join(name)).unwrap();
        assert!(text.contains("#![forbid(unsafe_code)]"), "{name} forbids unsafe code");
    }
}

#[test]
fn lints_are_expected_with_a_reason_never_allowed() {
    let mut found = Vec::new();
    for (name, text) in rust() {
        for (number, line) in text.lines().enumerate() {
            let code = code_of(line).replace(' ', "");
            if code.contains("#[allow(") || code.contains("#![allow(") || code.contains("#[ignore") {
                found.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    check_none("attributes that silence", &found);
}

#[test]
fn no_file_is_overlong_without_a_reason() {
    let found: Vec<String> = files()
        .into_iter()
        .filter(|(name, _)| !name.starts_with("golden/") && LONG.iter().all(|(long, _)| long != name))
        .filter(|(_, text)| text.lines().count() > LINES)
        .map(|(name, text)| format!("{name}: {} lines", text.lines().count()))
        .collect();
    check_none("files over 800 lines", &found);
    for (name, reason) in LONG {
        assert!(!reason.is_empty() && root().join(name).is_file(), "{name} is still there");
    }
}

#[test]
fn every_rust_file_says_what_it_answers() {
    let found: Vec<String> =
        rust().into_iter().filter(|(_, text)| !text.starts_with("//! ")).map(|(name, _)| name).collect();
    check_none("files that do not begin with `//! `", &found);
}

#[test]
fn nothing_is_left_to_do() {
    let marks = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["X", "XX"].concat()];
    let mut found = Vec::new();
    for (name, text) in files() {
        for (number, line) in text.lines().enumerate() {
            if line.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| marks.iter().any(|mark| mark == word)) {
                found.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    check_none("marks of unfinished work", &found);
}

#[test]
fn no_key_and_no_certificate_is_checked_in() {
    let mark = ["-----", "BEGIN"].concat();
    let endings = [".pem", ".key", ".crt", ".der", ".p12", ".pfx"];
    let found: Vec<String> = files()
        .into_iter()
        .filter(|(name, text)| text.contains(&mark) || endings.iter().any(|ending| name.ends_with(ending)))
        .map(|(name, _)| name)
        .collect();
    check_none("keys or certificates", &found);
}

#[test]
fn no_path_of_somebodys_machine_is_in_the_tree() {
    let paths = [["/", "work/"].concat(), ["/", "root/"].concat(), ["/", "home/"].concat(), ["/", "Users/"].concat()];
    let mut found = Vec::new();
    for (name, text) in files() {
        for (number, line) in text.lines().enumerate() {
            if paths.iter().any(|path| line.contains(path.as_str())) {
                found.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    check_none("paths of one machine", &found);
}

/// The prose that people read.
fn pages() -> Vec<(String, String)> {
    let pages: Vec<(String, String)> = files().into_iter().filter(|(name, _)| name.ends_with(".md")).collect();
    for page in ["README.md", "ARCHITECTURE.md", "docs/dependencies.md"] {
        assert!(pages.iter().any(|(name, _)| name == page), "{page} is missing");
    }
    pages
}

#[test]
fn every_path_in_prose_exists() {
    let tops: BTreeSet<String> =
        files().iter().filter_map(|(name, _)| Some(name.split_once('/')?.0.to_owned())).collect();
    let mut checked = 0;
    let mut found = Vec::new();
    for (page, text) in pages() {
        let here = Path::new(&page).parent().unwrap().to_owned();
        let mut targets: Vec<(String, PathBuf)> = Vec::new();
        for span in text.split('`').skip(1).step_by(2) {
            let path = span.trim_end_matches('/');
            let plain = path.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
            if plain && path.contains('/') && tops.contains(path.split('/').next().unwrap_or_default()) {
                targets.push((span.to_owned(), root().join(path)));
            }
        }
        // Markdown links within the tree.
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if !link.contains("://") && !link.starts_with('#') {
                let path = link.split('#').next().unwrap_or_default();
                targets.push((link.to_owned(), root().join(&here).join(path)));
            }
        }
        for (what, path) in targets {
            checked += 1;
            if !path.exists() {
                found.push(format!("{page}: {what}"));
            }
        }
    }
    check_none("paths in prose that do not exist", &found);
    assert!(checked > 10, "only {checked} paths were found in prose");
}

#[test]
fn every_command_in_prose_exists() {
    let makefile = std::fs::read_to_string(root().join("Makefile")).unwrap();
    let outcall = outcall_tests::fixtures::world::binary("outcall");
    let help = Command::new(&outcall).arg("--help").output().unwrap();
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let commands: BTreeSet<&str> = help
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|word| !word.is_empty())
        .collect();
    assert!(commands.contains("compile"), "{help}");
    let mut checked = 0;
    let mut found = Vec::new();
    for (page, text) in pages() {
        let blocks = text.split("```").enumerate().filter(|(at, _)| at % 2 == 1).map(|(_, block)| block);
        let lines =
            blocks.filter(|block| block.starts_with("sh\n") || block.starts_with("console\n")).flat_map(str::lines);
        let spans = text.split('`').skip(1).step_by(2).filter(|span| !span.contains('\n'));
        for line in lines.chain(spans) {
            let mut words = line.trim_start_matches("$ ").split_whitespace();
            let (program, argument) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let known = match program {
                "make" => makefile.lines().any(|line| line.starts_with(&format!("{argument}:"))),
                "outcall" if argument.chars().all(|c| c.is_ascii_lowercase()) && !argument.is_empty() => {
                    commands.contains(argument)
                }
                _ => continue,
            };
            checked += 1;
            if !known {
                found.push(format!("{page}: {line}"));
            }
        }
    }
    check_none("commands in prose that do not exist", &found);
    assert!(checked > 5, "only {checked} commands were found in prose");
}

#[test]
fn every_dependency_is_explained_and_nothing_else_is() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let named: BTreeSet<&str> = manifest
        .lines()
        .skip_while(|line| *line != "[workspace.dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once(" = ").map(|(name, _)| name))
        .filter(|name| !name.starts_with("outcall-"))
        .collect();
    let page = std::fs::read_to_string(root().join("docs/dependencies.md")).unwrap();
    let explained: BTreeSet<&str> =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(name, _)| name)).collect();
    assert_eq!(named, explained, "docs/dependencies.md has a row for each of [workspace.dependencies]");
    let members: Vec<String> = ["schema", "compiler", "runtime", "cli", "cli/agent", "tests", "tests/adversarial"]
        .iter()
        .map(|member| std::fs::read_to_string(root().join(member).join("Cargo.toml")).unwrap())
        .collect();
    for name in named {
        let used = members.iter().any(|text| text.lines().any(|line| line.split([' ', '.']).next() == Some(name)));
        assert!(used, "{name} is in [workspace.dependencies] and nobody uses it");
    }
}

#[test]
fn the_example_policies_compile_clean_and_pass_their_tests() {
    let outcall = outcall_tests::fixtures::world::binary("outcall");
    for arguments in [["compile", "rules.d", "--check", "--deny", "warnings"].as_slice(), &["test", "rules.d"]] {
        let output = Command::new(&outcall).args(arguments).current_dir(root()).output().unwrap();
        assert!(
            output.status.success(),
            "outcall {}: {}{}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
