//! What `rules.d/ci` offers for CI systems does what it says: the script lines are taken out of the files and run, in a
//! shell as each system has it, with the program as it is, on rules that are fine and on rules that are not.
#![cfg(test)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use outcall_compiler::diag::SourceFile;
use outcall_compiler::source::yaml::{self, Node, NodeKind};
use outcall_tests::{fixtures::world, golden};
use serde_json::{Map, Value};

const GOOD: &str = "version: \"1\"\nrules:\n  - id: docs\n    description: the documentation\n    action: allow\n    condition: http.host == \"docs.example.com\" && http.scheme == \"http\"\ntests:\n  - name: it is read\n    request: { http: { scheme: http, host: docs.example.com, method: GET, path: /start } }\n    expect: { decision: allow, rule: docs }\n";

/// A file of `rules.d/ci`, in the part of YAML that rule files have as well.
fn fragment(name: &str) -> Value {
    let text = std::fs::read_to_string(golden::root().join("rules.d/ci").join(name)).unwrap();
    let file = SourceFile::new(name, text);
    let (document, findings) = yaml::read(&file);
    assert!(findings.is_empty(), "{findings:?}");
    json(&document.root.unwrap())
}

fn json(node: &Node<'_>) -> Value {
    match &node.kind {
        NodeKind::Scalar(scalar) => Value::from(scalar.text.as_ref()),
        NodeKind::List(items) => items.iter().map(json).collect(),
        NodeKind::Mapping(entries) => Value::Object(
            entries.iter().map(|entry| (entry.key.to_string(), json(&entry.value))).collect::<Map<_, _>>(),
        ),
        NodeKind::Refused => unreachable!("a file without findings has no refused node"),
    }
}

/// A repository with rules in the working tree, and with those of its first commit.
struct Repository {
    home: tempfile::TempDir,
}

impl Repository {
    /// With `before` committed, and `now` in the working tree.
    fn new(before: Option<&str>, now: &str) -> Repository {
        let repository = Repository { home: tempfile::tempdir().unwrap() };
        repository.git(&["init", "-q"]);
        repository.write("README", "rules stand in rules.d\n");
        if let Some(before) = before {
            repository.write("rules.d/a.yaml", before);
        }
        repository.git(&["add", "."]);
        let identity = ["-c", "user.name=test", "-c", "user.email=test@example.com"];
        repository.git(&[&identity[..], &["commit", "-q", "-m", "first"]].concat());
        repository.write("rules.d/a.yaml", now);
        repository
    }

    fn path(&self) -> &Path {
        self.home.path()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(arguments)
            .current_dir(self.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .output()
            .unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap_or_default()
    }

    /// Runs a program with nothing in its environment but this; `outcall` is on its PATH.
    fn run(&self, program: &str, arguments: &[&str], environment: &BTreeMap<String, String>) -> (bool, String) {
        let outcall: PathBuf = world::binary("outcall");
        let output = Command::new(program)
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", outcall.parent().unwrap().display()))
            .envs(environment)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        (output.status.success(), text)
    }
}

/// The value of an expression of a workflow, of the few forms that the action uses.
fn expression(text: &str, facts: &BTreeMap<&str, String>) -> String {
    let name = text.trim();
    facts.get(name).unwrap_or_else(|| panic!("the test knows no {name}")).clone()
}

fn holds(condition: &str, facts: &BTreeMap<&str, String>) -> bool {
    condition.split("&&").all(|part| {
        let (equal, (left, right)) = match part.split_once("!=") {
            Some(sides) => (false, sides),
            None => (true, part.split_once("==").unwrap()),
        };
        (expression(left, facts) == right.trim().trim_matches('\'')) == equal
    })
}

/// Runs the action's steps until one fails: what it printed, and the steps that passed.
fn action(repository: &Repository, facts: &[(&'static str, &str)]) -> (bool, String, Vec<String>) {
    let action = fragment("action.yml");
    let inputs = action["inputs"].as_object().unwrap();
    let names: BTreeMap<String, String> = inputs
        .iter()
        .map(|(name, input)| (format!("inputs.{name}"), input["default"].as_str().unwrap().to_owned()))
        .collect();
    let mut known: BTreeMap<&str, String> = names.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    known.extend([("github.event_name", "push".to_owned()), ("github.event.pull_request.base.sha", String::new())]);
    known.extend(facts.iter().map(|(name, value)| (*name, (*value).to_owned())));
    assert_eq!(action["runs"]["using"], "composite");
    let (mut printed, mut passed) = (String::new(), Vec::new());
    for step in action["runs"]["steps"].as_array().unwrap() {
        assert_eq!(step["shell"], "bash");
        if step["if"].as_str().is_some_and(|condition| !holds(condition, &known)) {
            continue;
        }
        let script = step["run"].as_str().unwrap();
        assert!(!script.contains("${{"), "an input would become a part of a command: {script}");
        let mut environment: BTreeMap<String, String> = step["env"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| {
                let inner =
                    value.as_str().unwrap().strip_prefix("${{").and_then(|text| text.strip_suffix("}}")).unwrap();
                (name.clone(), expression(inner, &known))
            })
            .collect();
        let summary = repository.path().join("summary.md");
        environment.insert("GITHUB_STEP_SUMMARY".to_owned(), summary.to_str().unwrap().to_owned());
        // As GitHub's runner starts a script with `shell: bash`.
        let shell = ["--noprofile", "--norc", "-eo", "pipefail", "-c", script];
        let (done, text) = repository.run("bash", &shell, &environment);
        printed.push_str(&text);
        if !done {
            return (false, printed, passed);
        }
        passed.push(step["name"].as_str().unwrap().to_owned());
    }
    (true, printed, passed)
}

fn bad_name() -> String {
    GOOD.replace("condition: http.host", "condition: http.hots")
}

fn bad_test() -> String {
    GOOD.replace("decision: allow", "decision: block").replace(", rule: docs }", " }")
}

#[test]
fn the_action_passes_good_rules_and_annotates_bad_ones() {
    let (done, printed, passed) = action(&Repository::new(None, GOOD), &[]);
    assert!(done, "{printed}");
    assert_eq!(passed, ["Check the rules", "Run the rules' tests"]);
    let (done, printed, passed) = action(&Repository::new(None, &bad_name()), &[]);
    assert!(!done && passed.is_empty(), "{printed}");
    assert!(printed.contains("::error file=rules.d/a.yaml,line=6,endLine=6,col=16,endColumn=25,"), "{printed}");
    let (done, printed, passed) = action(&Repository::new(None, &bad_test()), &[]);
    assert!(!done && passed == ["Check the rules"], "{printed}");
    assert!(printed.contains("FAILED it is read"), "{printed}");
}

#[test]
fn the_action_writes_findings_for_code_scanning_and_fails_all_the_same() {
    for (rules, good) in [(GOOD, true), (bad_name().as_str(), false)] {
        let repository = Repository::new(None, rules);
        let (done, printed, passed) = action(&repository, &[("inputs.sarif", "found files.sarif")]);
        assert_eq!(done, good, "{printed}");
        assert_eq!(passed.first().map(String::as_str), Some("Findings for code scanning"));
        let log: Value = serde_json::from_str(&repository.read("found files.sarif")).unwrap();
        assert_eq!(log["runs"][0]["results"].as_array().unwrap().is_empty(), good);
    }
    let repository = Repository::new(None, GOOD);
    let (done, _, passed) = action(&repository, &[("inputs.sarif", "f.sarif"), ("inputs.rules", "nowhere")]);
    assert!(!done && passed.is_empty(), "rules that cannot be read are no findings");
}

#[test]
fn no_input_of_the_action_becomes_a_command() {
    let repository = Repository::new(None, GOOD);
    let (done, printed, _) = action(&repository, &[("inputs.rules", "$(touch pwned) `touch pwned`; touch pwned #")]);
    assert!(!done && printed.contains("cannot be read"), "{printed}");
    assert!(!repository.path().join("pwned").exists());
}

#[test]
fn the_hooks_pass_good_rules_and_stop_bad_ones() {
    let hooks = fragment(".pre-commit-hooks.yaml");
    let root = golden::root().join(".pre-commit-hooks.yaml");
    assert_eq!(
        std::fs::read(root).unwrap(),
        std::fs::read(golden::root().join("rules.d/ci/.pre-commit-hooks.yaml")).unwrap()
    );
    let hook = |id: &str, repository: &Repository| {
        let hook = hooks.as_array().unwrap().iter().find(|hook| hook["id"] == id).unwrap();
        assert_eq!((&hook["language"], &hook["pass_filenames"]), (&"system".into(), &"false".into()));
        // The words of the entry, then the arguments; there is no shell.
        let mut words: Vec<&str> = hook["entry"].as_str().unwrap().split(' ').collect();
        words.extend(hook["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()));
        repository.run(words[0], &words[1..], &BTreeMap::new())
    };
    assert_eq!(hooks.as_array().unwrap().len(), 2);
    let (good, name, test) =
        (Repository::new(None, GOOD), Repository::new(None, &bad_name()), Repository::new(None, &bad_test()));
    assert!(hook("outcall-check", &good).0 && hook("outcall-test", &good).0);
    let (done, printed) = hook("outcall-check", &name);
    assert!(!done && printed.contains("error[OC0110]"), "{printed}");
    let (done, printed) = hook("outcall-test", &test);
    assert!(!done && printed.contains("FAILED it is read"), "{printed}");
}

/// Runs the job's script lines in one shell, as GitLab's runner does.
fn job(repository: &Repository, variables: &[(&str, &str)]) -> (bool, String) {
    let fragment = fragment("gitlab.yml");
    let job = &fragment["outcall"];
    let lines: Vec<&str> = job["script"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    let own = job["variables"].as_object().unwrap().iter();
    let mut environment: BTreeMap<String, String> =
        own.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
    environment.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let script = format!("set -eo pipefail\n{}\n", lines.join("\n"));
    repository.run("bash", &["-c", &script], &environment)
}

#[test]
fn the_job_passes_good_rules_reports_tests_and_stops_bad_rules() {
    let repository = Repository::new(None, GOOD);
    let (done, printed) = job(&repository, &[]);
    assert!(done, "{printed}");
    let report = repository.read("outcall-tests.xml");
    assert!(report.contains("tests=\"1\" failures=\"0\""), "{report}");
    assert_eq!(fragment("gitlab.yml")["outcall"]["artifacts"]["reports"]["junit"], "outcall-tests.xml");
    let (done, printed) = job(&Repository::new(None, &bad_name()), &[]);
    assert!(!done && printed.contains("error[OC0110]"), "{printed}");
    let repository = Repository::new(None, &bad_test());
    assert!(!job(&repository, &[]).0);
    assert!(repository.read("outcall-tests.xml").contains("failures=\"1\""), "the report is there when tests fail");
    let (done, _) = job(&Repository::new(None, GOOD), &[("OUTCALL_RULES", "no where; touch pwned")]);
    assert!(!done);
}

/// What a pull request is compared with: the rules before, those now, whether widening is refused, and then whether it
/// passes and what it is told.
fn changes() -> Vec<(Option<String>, String, &'static str, bool, &'static str)> {
    let wider = GOOD.replace("tests:", "  - id: wiki\n    description: the wiki\n    action: allow\n    condition: http.host == \"wiki.example.com\" && http.scheme == \"http\"\ntests:");
    let good = || Some(GOOD.to_owned());
    vec![
        (good(), wider.clone(), "report", true, "wiki.example.com"),
        (good(), wider.clone(), "refuse", false, "wiki.example.com"),
        // A word that is neither is taken for the stricter one.
        (good(), wider.clone(), "reprot", false, "wiki.example.com"),
        (good(), GOOD.replace("the documentation", "the docs"), "refuse", true, ""),
        (Some(wider.clone()), GOOD.to_owned(), "refuse", true, "wiki.example.com"),
        (None, GOOD.to_owned(), "report", true, "docs.example.com"),
        (None, GOOD.to_owned(), "refuse", false, "docs.example.com"),
        (Some(bad_name()), GOOD.to_owned(), "report", true, "do not compile"),
        (Some(bad_name()), GOOD.to_owned(), "refuse", false, ""),
    ]
}

#[test]
fn the_action_says_what_a_pull_request_opens_and_refuses_it_where_asked() {
    for (before, now, widening, passes, told) in changes() {
        let repository = Repository::new(before.as_deref(), &now);
        let base = repository.git(&["rev-parse", "HEAD"]);
        let (done, printed, _) = action(
            &repository,
            &[
                ("github.event_name", "pull_request"),
                ("github.event.pull_request.base.sha", &base),
                ("inputs.widening", widening),
            ],
        );
        assert_eq!(done, passes, "{before:?} {widening}\n{printed}");
        assert!(printed.contains(told), "{told}\n{printed}");
        if told.ends_with("example.com") {
            assert!(repository.read("summary.md").contains(told), "the summary of the job says it, too");
        }
    }
}

#[test]
fn the_job_says_what_a_merge_request_opens_and_refuses_it_where_asked() {
    for (before, now, widening, passes, told) in changes() {
        let repository = Repository::new(before.as_deref(), &now);
        let base = repository.git(&["rev-parse", "HEAD"]);
        let (done, printed) =
            job(&repository, &[("CI_MERGE_REQUEST_DIFF_BASE_SHA", &base), ("OUTCALL_WIDENING", widening)]);
        assert_eq!(done, passes, "{before:?} {widening}\n{printed}");
        assert!(printed.contains(told), "{told}\n{printed}");
    }
}

#[test]
fn a_base_that_is_missing_is_fetched() {
    let origin = Repository::new(Some(GOOD), GOOD);
    let base = origin.git(&["rev-parse", "HEAD"]);
    let repository = Repository::new(None, GOOD);
    repository.git(&["remote", "add", "origin", origin.path().to_str().unwrap()]);
    let facts = [("github.event_name", "pull_request"), ("github.event.pull_request.base.sha", base.as_str())];
    let (done, printed, passed) = action(&repository, &facts);
    assert!(done && passed.len() == 3, "{printed}");
    let gone = "0123456789abcdef0123456789abcdef01234567";
    let (done, printed, _) = action(&repository, &[facts[0], ("github.event.pull_request.base.sha", gone)]);
    assert!(!done, "{printed}");
}
