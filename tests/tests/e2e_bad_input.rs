//! Bad input and bad surroundings end to end: a clear error, an exit status that says so, and nothing changed or started.
#![cfg(test)]

use std::path::Path;
use std::process::{Command, Output};

use outcall_tests::fixtures::world::{self, World, binary, open_to_all};
use outcall_tests::fixtures::zone;

const RULES: &str =
    "version: \"1\"\nrules:\n  - id: a\n    condition: http.host == \"allowed.test\"\n    action: allow\n";

fn scrubbed(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", world::PATH).stdin(std::process::Stdio::null());
    command
}

fn rules_dir(text: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    open_to_all(dir.path());
    std::fs::write(dir.path().join("policy.yaml"), text).unwrap();
    dir
}

fn artifacts() -> tempfile::TempDir {
    let rules = rules_dir(RULES);
    let dist = tempfile::tempdir().unwrap();
    open_to_all(dist.path());
    let output =
        scrubbed(binary("outcall")).arg("compile").arg(rules.path()).arg("-o").arg(dist.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    dist
}

/// A command that must fail with one of `words` in its message and without starting its command.
#[track_caller]
fn check_fails(output: &Output, words: &[&str]) {
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(matches!(output.status.code(), Some(1 | 2)), "{:?}: {said}", output.status);
    assert!(!said.contains("the command ran"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    assert!(words.iter().any(|word| said.contains(word)), "one of {words:?} in: {said}");
}

#[track_caller]
fn run(world: &World, source: &str, path: &Path) -> Output {
    world
        .command("outcall", 30)
        .args(["run", "--dns-upstream", &zone::DNS_V4.to_string(), source])
        .arg(path)
        .args(["--", "echo", "the command ran"])
        .output()
        .unwrap()
}

#[test]
fn truncated_flipped_and_missing_artifacts_start_nothing() {
    let world = World::new();
    for name in ["outcall.nft", "dns.table", "proxy.prog", "manifest.json"] {
        let dist = artifacts();
        let file = dist.path().join(name);
        let whole = std::fs::read(&file).unwrap();
        for cut in [0, 3, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&file, &whole[..cut]).unwrap();
            check_fails(&run(&world, "--artifacts", dist.path()), &[name]);
        }
        for at in [0, 5, whole.len() / 3, whole.len() - 2] {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x10;
            std::fs::write(&file, &flipped).unwrap();
            check_fails(&run(&world, "--artifacts", dist.path()), &[name]);
            let inspect = scrubbed(binary("outcall")).arg("inspect").arg(dist.path()).output().unwrap();
            check_fails(&inspect, &[name]);
        }
        std::fs::write(&file, [whole.as_slice(), b"more"].concat()).unwrap();
        check_fails(&run(&world, "--artifacts", dist.path()), &[name]);
        std::fs::remove_file(&file).unwrap();
        check_fails(&run(&world, "--artifacts", dist.path()), &[name]);
    }
}

#[test]
fn artifacts_of_two_policies_do_not_mix() {
    let world = World::new();
    let (one, other) = (artifacts(), tempfile::tempdir().unwrap());
    let rules = rules_dir(&RULES.replace("allowed.test", "evil.test"));
    let output =
        scrubbed(binary("outcall")).arg("compile").arg(rules.path()).arg("-o").arg(other.path()).output().unwrap();
    assert!(output.status.success());
    std::fs::copy(other.path().join("dns.table"), one.path().join("dns.table")).unwrap();
    check_fails(&run(&world, "--artifacts", one.path()), &["dns.table"]);
}

#[test]
fn only_what_a_trusted_key_signed_starts() {
    let world = World::new();
    let (dist, keys) = (artifacts(), tempfile::tempdir().unwrap());
    let outcall = |words: &[&str]| {
        let output = scrubbed(binary("outcall")).args(words).current_dir(keys.path()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    let dist_text = dist.path().to_str().unwrap();
    outcall(&["keygen", "--out", "ours"]);
    outcall(&["keygen", "--out", "theirs"]);
    let run = |key: &str| {
        let mut command = world.command("outcall", 30);
        command.args(["run", "--dns-upstream", &zone::DNS_V4.to_string(), "--artifacts", dist_text, "--trust-key"]);
        command.arg(keys.path().join(key)).args(["--", "echo", "the command ran"]).output().unwrap()
    };
    check_fails(&run("ours/policy.pub"), &["manifest.sig: there is no such file"]);
    outcall(&["sign", dist_text, "--key", "ours/policy.key"]);
    let ran = run("ours/policy.pub");
    assert!(ran.status.success() && String::from_utf8_lossy(&ran.stdout).contains("the command ran"), "{ran:?}");
    check_fails(&run("theirs/policy.pub"), &["manifest.sig: it has no signature by a trusted key"]);
    check_fails(&run("ours/policy.key"), &["policy.key: it holds a private key"]);
    check_fails(&run("ours/nowhere"), &["ours/nowhere: cannot read it"]);
    let signature = dist.path().join("manifest.sig");
    let whole = std::fs::read(&signature).unwrap();
    for at in [0, 20, 40, whole.len() - 2] {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        std::fs::write(&signature, flipped).unwrap();
        check_fails(&run("ours/policy.pub"), &["manifest.sig: "]);
    }
}

#[test]
fn a_policy_with_errors_starts_nothing() {
    let world = World::new();
    let rules = rules_dir(&RULES.replace("http.host", "http.hsot"));
    check_fails(&run(&world, "--rules", rules.path()), &["http.host"]);
}

#[test]
fn rules_that_are_not_there_or_not_readable() {
    let world = World::new();
    let nowhere = world.dir().join("nowhere");
    // An absent directory is a valid policy that blocks everything, but a path somebody typed should exist.
    check_fails(&run(&world, "--rules", &nowhere), &["nowhere"]);
    check_fails(&run(&world, "--artifacts", &nowhere), &["nowhere"]);
    let output = world
        .command("sh", 30)
        .args(["-c", "outcall run --rules nowhere -- curl -m 5 -sS http://allowed.test/; true"])
        .output()
        .unwrap();
    assert!(!String::from_utf8_lossy(&output.stdout).contains("saw GET"));
    // A directory in the place of a file, and bytes that are no text.
    let rules = rules_dir(RULES);
    std::fs::create_dir(rules.path().join("inner.yaml")).unwrap();
    std::fs::write(rules.path().join("zz.yaml"), b"version: \"1\"\n# \xff\xfe\n").unwrap();
    check_fails(&run(&world, "--rules", rules.path()), &["zz.yaml"]);
}

#[test]
fn an_unreadable_rule_file_is_an_error_and_not_an_absent_one() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new();
    let rules = rules_dir(RULES);
    let file = rules.path().join("secret.yaml");
    std::fs::write(&file, RULES).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o000)).unwrap();
    // Root reads everything, so somebody else must ask.
    let mut command = world.command(if world::is_root() { "setpriv" } else { "env" }, 30);
    if world::is_root() {
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    }
    let output = command.args(["outcall", "compile", "--check"]).arg(rules.path()).output().unwrap();
    check_fails(&output, &["secret.yaml"]);
}

#[test]
fn a_rules_directory_that_vanishes_between_two_runs_changes_nothing_of_the_first() {
    let world = World::new();
    let rules = rules_dir(RULES);
    let path = rules.path().to_owned();
    let script = format!("rm -rf {}; curl -sS http://allowed.test/still; curl -sS http://evil.test/", path.display());
    let output = world
        .command("outcall", 30)
        .args(["run", "--dns-upstream", &zone::DNS_V4.to_string(), "--rules"])
        .arg(&path)
        .args(["--", "sh", "-c", &script])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("saw GET /still") && said.contains("Blocked by outcall: default"), "{said}");
}

#[test]
fn without_nft_it_says_what_to_install() {
    let world = World::new();
    let rules = rules_dir(RULES);
    // It is also looked for in the directories of system programs, which an ordinary user's PATH often lacks, so that a PATH
    // without it is not enough: in a mount namespace of its own, something that is no program covers it.
    let script = format!(
        "for nft in /usr/sbin/nft /sbin/nft /usr/local/sbin/nft /usr/bin/nft /bin/nft; do \
         if test -e $nft; then mount --bind /dev/null $nft; fi; done; \
         exec outcall run --dns-upstream 93.184.216.53 --rules {} -- echo the command ran",
        rules.path().display()
    );
    let output = world
        .command("unshare", 30)
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .output()
        .unwrap();
    check_fails(&output, &["nft"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("nftables"), "the package to install: {said}");
}

#[test]
fn without_user_namespaces_it_says_how_to_enable_them() {
    let world = World::new();
    let rules = rules_dir(RULES);
    // A user namespace in which no further one may be made stands for a kernel that has them turned off.
    let script = format!(
        "echo 0 >/proc/sys/user/max_user_namespaces && exec outcall run --dns-upstream 93.184.216.53 --rules {} -- echo the command ran",
        rules.path().display()
    );
    let output =
        world.command("unshare", 30).args(["--user", "--map-root-user", "sh", "-c", &script]).output().unwrap();
    check_fails(&output, &["sysctl -w user.max_user_namespaces=15000"]);
}

#[test]
fn a_log_that_cannot_be_written_starts_nothing() {
    let world = World::new();
    let rules = rules_dir(RULES);
    let output = world
        .command("outcall", 30)
        .args(["run", "--dns-upstream", "93.184.216.53", "--log", "/nowhere/at/all.jsonl", "--rules"])
        .arg(rules.path())
        .args(["--", "echo", "the command ran"])
        .output()
        .unwrap();
    check_fails(&output, &["/nowhere/at/all.jsonl"]);
}

#[test]
fn wrong_usage_is_status_2_and_says_what_is_right() {
    let world = World::new();
    for arguments in [
        ["run"].as_slice(),
        &["run", "--"],
        &["run", "--no-such-option", "--", "true"],
        &["run", "--dns-upstream", "not-an-address", "--", "true"],
        &["run", "--dns-upstream", "93.184.216.53:99999", "--", "true"],
        &["run", "--rules", "a", "--artifacts", "b", "--", "true"],
        &["no-such-command"],
        &["compile", "--format", "xml"],
        &["explain", "OC9999"],
    ] {
        let output = world.command("outcall", 30).args(arguments).output().unwrap();
        assert!(matches!(output.status.code(), Some(1 | 2)), "{arguments:?}: {output:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
        assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{arguments:?}");
    }
}
