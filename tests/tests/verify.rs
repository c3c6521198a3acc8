//! `outcall verify`: every technique passes against what is built here, each can fail, and what is printed of them is in step.
#![cfg(test)]

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use outcall_tests::fixtures::world::{PATH, World, binary, is_root};
use outcall_verify::helper::Helper;
use outcall_verify::mutations::{MUTATIONS, Mutation, Tried, UNSHOWN};
use outcall_verify::run::{Options, Place, Scorecard, Verdict, run};
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

/// All of them with `OUTCALL_VERIFY_MUTATIONS=all`, which also says what none of them shows; with another value the one of
/// that name; otherwise the first of each family, in one place.
#[test]
fn each_weakening_lets_its_techniques_fail() {
    let which = std::env::var("OUTCALL_VERIFY_MUTATIONS").unwrap_or_default();
    let mut families = BTreeSet::new();
    let (mut coverage, mut wrong) = (Coverage::default(), Vec::new());
    for mutation in MUTATIONS {
        let first = which.is_empty() && mutation.tried == Tried::Named && families.insert(mutation.family);
        if !(first || which == "all" || which == mutation.id) {
            continue;
        }
        for place in mutation.places.iter().take(if first { 1 } else { usize::MAX }) {
            coverage.add(mutation, *place, &weakened(mutation, *place, &mut wrong));
        }
    }
    if which == "all" {
        wrong.extend(coverage.wrong());
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Tries what a mutation is about, and has what must fail fail.
fn weakened(mutation: &'static Mutation, place: Place, wrong: &mut Vec<String>) -> Scorecard {
    let options = Options {
        helper: Helper::new(binary("outcall"), &["verify-helper"]),
        outcall: binary("outcall"),
        outcalld: binary("outcalld"),
        place,
        image: None,
        policy: vec![],
        only: mutation.tries(place, table::techniques()),
        mutation: Some(mutation),
    };
    let card = run(&options).unwrap_or_else(|why| panic!("{}: {why}", mutation.id));
    let (id, place) = (mutation.id, place.name());
    for row in card.rows.iter().filter(|row| mutation.must_fail.contains(&row.technique.id)) {
        let failed = matches!(row.verdict, Verdict::Failed(_));
        let tried = !matches!(row.verdict, Verdict::NotTried(_));
        if tried && !failed {
            wrong.push(format!("{id}, {place}: `{}` passes: {}", row.technique.id, row.evidence));
        }
    }
    if card.counts().1 == 0 {
        wrong.push(format!("{id}, {place}: nothing fails"));
    }
    eprintln!("{id}, {place}: {} of {} failed in {:.1?}", card.counts().1, card.rows.len(), card.took);
    card
}

/// What is known to be able to fail.
#[derive(Default)]
struct Coverage {
    /// Something got out, or did not pass that must.
    shown: BTreeSet<&'static str>,
    /// Nothing but a record or a count was missing.
    by_record: BTreeSet<&'static str>,
    /// This kernel has no such thing.
    untried: BTreeSet<&'static str>,
}

impl Coverage {
    fn add(&mut self, mutation: &Mutation, place: Place, card: &Scorecard) {
        for row in &card.rows {
            let must_pass = !row.technique.expect.arrives.is_empty() && mutation.id == "nothing-allowed";
            let id = row.technique.id;
            match row.verdict {
                Verdict::Failed(_) if row.got_out() || must_pass => drop(self.shown.insert(id)),
                // Without a guard there is no record of anything: that shows nothing.
                Verdict::Failed(_) if place != Place::Unguarded => drop(self.by_record.insert(id)),
                Verdict::NotTried(_) => drop(self.untried.insert(id)),
                Verdict::Failed(_) | Verdict::Passed => {}
            }
        }
    }

    /// Every technique is shown to be able to fail, or is named as one that is not.
    fn wrong(&self) -> Vec<String> {
        let by_record: Vec<_> = self.by_record.difference(&self.shown).collect();
        eprintln!("fail by a record or a count alone: {by_record:?}");
        let known = |id: &str| UNSHOWN.iter().any(|(known, _)| *known == id);
        let shown = |id: &str| self.shown.contains(id) || self.by_record.contains(id);
        let unshown: Vec<_> = table::techniques().map(|it| it.id).filter(|id| !shown(id)).collect();
        eprintln!("no weakening makes fail: {unshown:?}\nof these not tried here: {:?}", self.untried);
        let unsaid: Vec<_> = unshown.iter().filter(|id| !known(id) && !self.untried.contains(*id)).collect();
        // A count that is off by the mark's own packet is no proof, so this is for people to look at.
        let stale: Vec<_> = UNSHOWN.iter().map(|(id, _)| *id).filter(|id| shown(id)).collect();
        eprintln!("named as not shown, and failed all the same: {stale:?}");
        let unsaid = unsaid.into_iter().map(|id| format!("`{id}` belongs into `UNSHOWN`, with the reason"));
        unsaid.collect()
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
