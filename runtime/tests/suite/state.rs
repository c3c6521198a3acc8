//! What the daemon remembers: generations of policies and small files, in directories that others tampered with.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use outcall_runtime::load::{Artifacts, Authority, Trust};
use outcall_runtime::state::{StateDir, StateError};
use outcall_schema::signing::{Signatures, SigningKey};
use serde::{Deserialize, Serialize};

use crate::common;

/// A policy for one host, with its digest.
pub(crate) fn policy(host: &str) -> (Artifacts, String) {
    let home = tempfile::tempdir().unwrap();
    let rules =
        format!("version: \"1\"\nrules:\n  - id: web\n    condition: http.host == \"{host}\"\n    action: allow\n");
    common::write_artifacts(&rules, home.path());
    let artifacts = Artifacts::read(home.path()).unwrap();
    let snapshot = artifacts.verify(&Trust::unsigned(), Authority::Absent).unwrap();
    (artifacts, snapshot.digest().to_owned())
}

pub(crate) fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(directory).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// That the state is whole: the current policy loads and is this one, and nothing else than what is listed is there.
#[track_caller]
pub(crate) fn check_whole(state: &StateDir, path: &Path, current: Option<&str>) {
    assert_eq!(state.current().map(|it| it.digest.to_string()).as_deref(), current);
    let mut expected: Vec<String> = state.generations().iter().map(|it| it.number.to_string()).collect();
    for generation in state.generations() {
        state.load(&generation, &Trust::unsigned(), Authority::Absent).unwrap();
    }
    expected.extend(current.map(|_| "current".to_owned()));
    expected.sort();
    assert_eq!(names(&path.join("policies")), expected);
    assert!(names(path).iter().all(|name| !name.starts_with('.')), "{:?}", names(path));
}

#[test]
fn policies_are_kept_and_found_again() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("deeper/state");
    let policies = ["a", "b", "c", "d", "e", "f", "g"].map(|host| policy(&format!("{host}.example")));
    let state = StateDir::open(&path).unwrap();
    check_whole(&state, &path, None);
    assert_eq!((state.current(), state.previous()), (None, None));
    for (artifacts, digest) in &policies {
        state.keep(artifacts, digest).unwrap();
        check_whole(&state, &path, Some(digest));
    }
    assert_eq!(state.generations().len(), 5);
    assert_eq!(state.previous().unwrap().digest.to_string(), policies[5].1);
    drop(state);
    let again = StateDir::open(&path).unwrap();
    check_whole(&again, &path, Some(&policies[6].1));
    for (file, mode) in [("", 0o700), ("policies", 0o700), ("policies/7", 0o700), ("policies/current", 0o600)] {
        assert_eq!(path.join(file).metadata().unwrap().mode() & 0o7777, mode, "{file}");
    }
    // The number of a generation is never used again, so that nobody takes one for another.
    assert_eq!(again.keep(&policies[0].0, &policies[0].1).unwrap().number, 8);
}

#[test]
fn a_pending_policy_is_promoted_or_gone() {
    let home = tempfile::tempdir().unwrap();
    let state = StateDir::open(home.path()).unwrap();
    let [(one, one_digest), (two, two_digest)] = ["one.example", "two.example"].map(policy);
    state.keep(&one, &one_digest).unwrap();
    let pending = state.pending(&two, &two_digest).unwrap();
    assert_eq!(pending.generation().digest.to_string(), two_digest);
    assert_eq!(state.current().unwrap().digest.to_string(), one_digest);
    for second in [state.pending(&one, &one_digest).map(drop), state.back().map(drop)] {
        assert!(matches!(second, Err(StateError::UnderWay)), "one at a time");
    }
    drop(pending);
    check_whole(&state, home.path(), Some(&one_digest));
    state.pending(&two, &two_digest).unwrap().promote().unwrap();
    check_whole(&state, home.path(), Some(&two_digest));
    let error = state.pending(&two, "sha256:\u{1b}nonsense").unwrap_err().to_string();
    assert!(error.contains("cannot name") && !error.contains('\u{1b}'), "{error}");
    check_whole(&state, home.path(), Some(&two_digest));
}

#[test]
fn going_back_leads_to_another_policy_and_forgets_the_current_one() {
    let home = tempfile::tempdir().unwrap();
    let state = StateDir::open(home.path()).unwrap();
    let [(one, one_digest), (two, two_digest)] = ["one.example", "two.example"].map(policy);
    assert!(state.back().unwrap().is_none());
    for (artifacts, digest) in [(&one, &one_digest), (&two, &two_digest), (&two, &two_digest)] {
        state.keep(artifacts, digest).unwrap();
    }
    drop(state.back().unwrap().unwrap());
    check_whole(&state, home.path(), Some(&two_digest));
    let pending = state.back().unwrap().unwrap();
    let (_, snapshot) = state.load(&pending.generation(), &Trust::unsigned(), Authority::Absent).unwrap();
    assert_eq!(snapshot.digest(), one_digest);
    pending.promote().unwrap();
    check_whole(&state, home.path(), Some(&one_digest));
    assert!(state.back().unwrap().is_none());
    drop(state);
    check_whole(&StateDir::open(home.path()).unwrap(), home.path(), Some(&one_digest));
}

#[test]
fn what_is_kept_must_be_signed_by_who_is_trusted_when_it_is_loaded() {
    let home = tempfile::tempdir().unwrap();
    let state = StateDir::open(home.path()).unwrap();
    let (artifacts, digest) = policy("a.example");
    let keys = [SigningKey::generate().unwrap()];
    let mut files: Vec<(String, Vec<u8>)> =
        artifacts.files().map(|(name, bytes)| (name.to_owned(), bytes.to_vec())).collect();
    files.push(("manifest.sig".to_owned(), Signatures::make(&files[0].1, &keys).unwrap().to_bytes()));
    state.keep(&Artifacts::from_files(files).unwrap(), &digest).unwrap();
    let current = state.current().unwrap();
    let trust = |key: &SigningKey| {
        let mut trust = Trust::unsigned();
        trust.add_pem(&key.public().unwrap().to_pem()).unwrap();
        trust
    };
    state.load(&current, &trust(&keys[0]), Authority::Absent).unwrap();
    let other = SigningKey::generate().unwrap();
    let error = state.load(&current, &trust(&other), Authority::Absent).map(drop).unwrap_err().to_string();
    assert!(error.contains("manifest.sig"), "{error}");
}

#[test]
fn leftovers_are_removed_and_what_others_put_there_stays() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("state");
    let (artifacts, digest) = policy("a.example");
    StateDir::open(&path).unwrap().keep(&artifacts, &digest).unwrap();
    let policies = path.join("policies");
    fs::create_dir(policies.join("7")).unwrap();
    fs::write(policies.join("7/manifest.json"), "half").unwrap();
    fs::write(policies.join("9"), "").unwrap();
    fs::write(policies.join("current.next"), "half").unwrap();
    fs::write(path.join(".agents.json.next"), "half").unwrap();
    let elsewhere = home.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("precious"), "").unwrap();
    symlink(&elsewhere, policies.join("8")).unwrap();
    let state = StateDir::open(&path).unwrap();
    check_whole(&state, &path, Some(&digest));
    assert_eq!(names(&elsewhere), ["precious"]);
    assert!(state.pending(&artifacts, &digest).unwrap().generation().number > 9);
    drop(state);
    fs::create_dir(path.join("ca")).unwrap();
    fs::write(policies.join("007"), "").unwrap();
    drop(StateDir::open(&path).unwrap());
    assert!(path.join("ca").exists() && policies.join("007").exists());
}

#[test]
fn links_inside_are_never_followed() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("state");
    let (artifacts, digest) = policy("a.example");
    let state = StateDir::open(&path).unwrap();
    state.keep(&artifacts, &digest).unwrap();
    state.write_json("agents", &1).unwrap();
    let current = state.current().unwrap();
    let load = |state: &StateDir| state.load(&current, &Trust::unsigned(), Authority::Absent).map(drop);
    let exchange = |name: &str| {
        let (inside, outside) = (path.join(name), home.path().join("outside"));
        fs::rename(&inside, &outside).unwrap();
        symlink(&outside, &inside).unwrap();
    };
    let restore = |name: &str| {
        fs::remove_file(path.join(name)).unwrap();
        fs::rename(home.path().join("outside"), path.join(name)).unwrap();
    };
    for name in ["policies/1/dns.table", "policies/1/manifest.json", "policies/1"] {
        exchange(name);
        assert!(load(&state).is_err(), "{name}");
        restore(name);
        load(&state).unwrap();
    }
    exchange("agents.json");
    assert!(state.read_json::<u32>("agents").is_err());
    state.write_json("agents", &2).unwrap();
    assert_eq!(fs::read_to_string(home.path().join("outside")).unwrap(), "1\n", "what it led to is as it was");
    assert_eq!(state.read_json::<u32>("agents").unwrap(), Some(2));
    fs::remove_file(home.path().join("outside")).unwrap();
    drop(state);
    for name in ["policies", "policies/current"] {
        exchange(name);
        assert!(StateDir::open(&path).is_err(), "{name}");
        restore(name);
        load(&StateDir::open(&path).unwrap()).unwrap();
    }
    // The whole may be elsewhere, when that was decided by who owns the place.
    symlink(&path, home.path().join("link")).unwrap();
    load(&StateDir::open(&home.path().join("link")).unwrap()).unwrap();
}

#[test]
fn a_directory_that_others_can_change_or_that_is_in_use_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("state");
    let state = StateDir::open(&path).unwrap();
    assert!(matches!(StateDir::open(&path), Err(StateError::InUse { .. })));
    let clone = state.clone();
    drop(state);
    assert!(matches!(StateDir::open(&path), Err(StateError::InUse { .. })), "the clone still uses it");
    drop(clone);
    for (name, mode) in [("", 0o770), ("", 0o702), ("", 0o1777), ("policies", 0o720)] {
        fs::set_permissions(path.join(name), Permissions::from_mode(mode)).unwrap();
        let error = StateDir::open(&path).unwrap_err();
        assert!(matches!(error, StateError::Exposed { .. }), "{mode:o}: {error}");
        fs::set_permissions(path.join(name), Permissions::from_mode(0o700)).unwrap();
    }
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    StateDir::open(&path).unwrap();
    fs::write(home.path().join("file"), "").unwrap();
    for name in ["file", "file/deeper"] {
        assert!(matches!(StateDir::open(&home.path().join(name)), Err(StateError::Io { .. })), "{name}");
    }
}

#[test]
fn a_damaged_list_removes_nothing_and_a_damaged_policy_leaves_the_others() {
    let home = tempfile::tempdir().unwrap();
    let state = StateDir::open(home.path()).unwrap();
    let [(one, one_digest), (two, two_digest)] = ["one.example", "two.example"].map(policy);
    state.keep(&one, &one_digest).unwrap();
    state.keep(&two, &two_digest).unwrap();
    let load =
        |number: usize| state.load(&state.generations()[number], &Trust::unsigned(), Authority::Absent).map(drop);
    fs::write(home.path().join("policies/2/dns.table"), "x").unwrap();
    assert!(load(0).is_err());
    load(1).unwrap();
    // Another policy in its place is whole, and still not the one that was kept.
    for file in ["manifest.json", "dns.table", "proxy.prog", "outcall.nft"] {
        fs::copy(home.path().join("policies/1").join(file), home.path().join("policies/2").join(file)).unwrap();
    }
    assert!(load(0).unwrap_err().to_string().contains("does not match its digest"));
    drop(state);
    let list = home.path().join("policies/current");
    let whole = fs::read(&list).unwrap();
    for damaged in [&whole[..whole.len() - 1], b"", &[0; 5000]] {
        fs::write(&list, damaged).unwrap();
        let error = StateDir::open(home.path()).unwrap_err();
        assert!(matches!(error, StateError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("policies/current") && error.to_string().contains("remove it"), "{error}");
        assert_eq!(names(&home.path().join("policies")), ["1", "2", "current"]);
    }
    fs::write(&list, whole).unwrap();
    assert_eq!(StateDir::open(home.path()).unwrap().generations().len(), 2);
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Agents {
    version: u32,
    names: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

#[test]
fn small_things_are_remembered_strictly() {
    let home = tempfile::tempdir().unwrap();
    let state = StateDir::open(home.path()).unwrap();
    let agents =
        |names: &[&str]| Agents { version: 1, names: names.iter().map(|it| (*it).to_owned()).collect(), note: None };
    assert_eq!(state.read_json::<Agents>("agents").unwrap(), None);
    for names in [&["a"][..], &[], &["b", "c"]] {
        state.write_json("agents", &agents(names)).unwrap();
        assert_eq!(state.read_json("agents").unwrap(), Some(agents(names)));
    }
    let file = home.path().join("agents.json");
    assert_eq!(file.metadata().unwrap().mode() & 0o7777, 0o600);
    for bad in [
        "",
        "null",
        "{}",
        r#"{"version":1}"#,
        r#"{"version":1,"names":[],"more":true}"#,
        r#"{"version":1,"names":[],"note":null}"#,
        r#"{"version":1,"names":[],"names":["a"]}"#,
        r#"{"version":1,"names":[]} x"#,
        &format!("{{\"version\":1,\"names\":[\"{}\"]}}", "x".repeat(5 << 20)),
    ] {
        fs::write(&file, bad).unwrap();
        let error = state.read_json::<Agents>("agents").unwrap_err();
        assert!(matches!(error, StateError::Damaged { .. }), "{error}");
    }
    fs::write(&file, r#"{ "names": ["a"], "version": 1 }"#).unwrap();
    assert_eq!(state.read_json("agents").unwrap(), Some(agents(&["a"])), "the order of members says nothing");
    assert!(state.write_json("agents", &"x".repeat(5 << 20)).is_err());
    assert_eq!(state.read_json("agents").unwrap(), Some(agents(&["a"])));
    for name in ["", "..", "../agents", "a/b", ".agents", "policies/current", "a\0"] {
        assert!(matches!(state.write_json(name, &1), Err(StateError::Name(_))), "{name:?}");
        assert!(matches!(state.read_json::<u32>(name), Err(StateError::Name(_))), "{name:?}");
    }
    assert_eq!(names(home.path()), ["agents.json", "policies"]);
}
