//! `outcall verify`: every technique passes against what is built here, each can fail, and what is printed of them is in step.
#![cfg(test)]

use std::process::{Command, Stdio};

use outcall_tests::fixtures::world::{PATH, World, binary, is_root};
use outcall_verify::helper::Helper;
use outcall_verify::mutations::MUTATIONS;
use outcall_verify::run::{Options, Place, Verdict, run};
use outcall_verify::table;
use serde_json::Value;

/// Within two minutes a user has the answer; this machine may be busy with other tests.
const SECONDS: &str = "240";

/// `outcall verify` with these options, as the caller or as somebody without any right.
fn verify(program: &std::path::Path, unprivileged: bool, options: &[&str]) -> (i32, Value) {
    let mut command = Command::new("timeout");
    command.args(["--signal=KILL", SECONDS]);
    if unprivileged && is_root() {
        command.args(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--"]);
    }
    command.arg(program).args(["verify", "--format", "json"]).args(options);
    let output = command.env_clear().env("PATH", PATH).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let status = output.status.code().unwrap_or(-1);
    let card = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{status} {error}: {said}"));
    (status, card)
}

#[track_caller]
fn check_passes(status: i32, card: &Value, place: &str) {
    let rows = card["techniques"].as_array().unwrap();
    let failed: Vec<&Value> = rows.iter().filter(|row| row["verdict"] == "failed").collect();
    assert!(failed.is_empty() && card["strays"] == serde_json::json!([]), "{failed:#?}\n{}", card["strays"]);
    assert_eq!((status, &card["place"]), (0, &Value::from(place)));
    let untried: Vec<&Value> = rows.iter().filter(|row| row["verdict"] == "not_tried").collect();
    let lacks = |row: &&Value| row["not_tried"].as_str().is_some_and(|why| why.starts_with("this kernel has no "));
    assert!(untried.iter().all(lacks), "only what this kernel lacks is not tried: {untried:#?}");
    assert!(rows.len() - untried.len() >= 100, "{card:#}");
}

#[test]
fn every_technique_passes_in_a_sandbox() {
    let (status, card) = verify(&binary("outcall"), false, &["--sandbox"]);
    check_passes(status, &card, "sandbox");
}

#[test]
fn every_technique_passes_on_a_host() {
    let (status, card) = verify(&binary("outcall"), false, &["--host"]);
    check_passes(status, &card, "host");
}

#[test]
fn everybody_may_run_it() {
    let world = World::new();
    let (status, card) = verify(&world.bin().join("outcall"), true, &[]);
    check_passes(status, &card, "sandbox");
}

/// All of them with `OUTCALL_VERIFY_MUTATIONS=all`; otherwise the first of each family.
#[test]
fn each_weakening_lets_its_techniques_fail() {
    let all = std::env::var_os("OUTCALL_VERIFY_MUTATIONS").is_some_and(|which| which == "all");
    let mut families = std::collections::BTreeSet::new();
    for mutation in MUTATIONS.iter().filter(|mutation| families.insert(mutation.family) || all) {
        let options = Options {
            helper: Helper::new(binary("outcall"), &["verify-helper"]),
            outcall: binary("outcall"),
            outcalld: binary("outcalld"),
            place: Place::Sandbox,
            policy: vec![],
            only: mutation.must_fail.iter().map(|id| (*id).to_owned()).collect(),
            mutation: Some(mutation),
        };
        let card = run(&options).unwrap_or_else(|why| panic!("{}: {why}", mutation.id));
        for row in &card.rows {
            let failed = matches!(row.verdict, Verdict::Failed(_));
            let tried = !matches!(row.verdict, Verdict::NotTried(_));
            assert!(failed || !tried, "{}: `{}` {}", mutation.id, row.technique.id, row.evidence);
        }
        assert!(card.counts().1 > 0, "{}: something fails", mutation.id);
    }
}

#[test]
fn an_operators_own_rules_are_in_force_as_well() {
    let rules = tempfile::tempdir().unwrap();
    let write =
        |text: &str| std::fs::write(rules.path().join("own.yaml"), format!("version: \"1\"\nrules:\n{text}")).unwrap();
    let directory = rules.path().to_str().unwrap();
    let only = ["--policy", directory, "--only", "refused-host", "refused-name", "allowed-http"];
    write("  - { id: nobody, action: block, condition: 'http.host == \"nobody.test\"' }\n");
    let (status, card) = verify(&binary("outcall"), false, &only);
    assert_eq!(status, 0, "{card:#}");
    write("  - { id: everybody, action: allow, condition: 'http.host.endsWith(\"evil.test\")' }\n");
    let (status, card) = verify(&binary("outcall"), false, &only);
    assert_eq!((status, &card["failed"], &card["passed"]), (1, &Value::from(2), &Value::from(1)), "{card:#}");
    write("  - { id: broken, action: allow, condition: 'http.hsot == \"x\"' }\n");
    let output = Command::new(binary("outcall")).arg("verify").args(only).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("http.host"), "{output:?}");
}

#[test]
fn what_is_asked_for_wrongly_is_said() {
    let output = Command::new(binary("outcall")).args(["verify", "--only", "no-such"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no technique `no-such`"), "{output:?}");
    let output = Command::new(binary("outcall")).args(["verify", "--list"]).output().unwrap();
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && table::techniques().all(|technique| listed.contains(technique.id)), "{listed}");
}
