//! `outcall keygen`, `outcall sign` and `outcall inspect --trust` as a shell and `openssl` see them.
#![expect(clippy::unwrap_used, reason = "a test stops where its fixtures cannot be set up")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

const RULES: &str =
    "version: \"1\"\nrules:\n  - id: docs\n    condition: http.host == \"docs.example.com\"\n    action: allow\n";

#[track_caller]
fn check(home: &Path, arguments: &[&str], status: i32) -> (String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outcall"));
    command.args(arguments).current_dir(home).env_clear().env("HOME", home).stdin(Stdio::null());
    let output = command.output().unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(status), "{arguments:?}\n{stdout}\n{stderr}");
    (stdout, stderr)
}

#[track_caller]
fn refused(home: &Path, arguments: &[&str], status: i32, expected: &str) {
    let (stdout, stderr) = check(home, arguments, status);
    assert!(stdout.is_empty() && stderr.contains(expected), "{stdout}\n{stderr}\nis not about: {expected}");
}

fn openssl(home: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new("openssl").args(arguments).current_dir(home).stdin(Stdio::null()).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(directory).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn mode(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

/// A home with compiled artifacts in `dist` and two keys.
fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("a.yaml"), RULES).unwrap();
    check(home.path(), &["compile", "a.yaml", "-o", "dist"], 0);
    check(home.path(), &["keygen", "--out", "one"], 0);
    check(home.path(), &["keygen", "--out", "two"], 0);
    home
}

#[test]
fn a_key_is_two_files_that_openssl_reads() {
    let home = tempfile::tempdir().unwrap();
    let (text, _) = check(home.path(), &["keygen", "--out", "new/deeper", "--json"], 0);
    let made: Value = serde_json::from_str(&text).unwrap();
    let directory = home.path().join("new/deeper");
    assert_eq!(names(&directory), ["policy.key", "policy.pub"]);
    assert_eq!((mode(directory.join("policy.key")), mode(directory.join("policy.pub"))), (0o600, 0o644));
    let (_, public) = openssl(home.path(), &["pkey", "-in", "new/deeper/policy.key", "-pubout"]);
    assert_eq!(public, fs::read_to_string(directory.join("policy.pub")).unwrap());
    openssl(home.path(), &["pkey", "-pubin", "-in", "new/deeper/policy.pub", "-outform", "DER", "-out", "der"]);
    let (_, digest) = openssl(home.path(), &["dgst", "-sha256", "-r", "der"]);
    assert_eq!(made["key_id"], format!("sha256:{}", digest.split(' ').next().unwrap()));
    assert_eq!(made["public_key"], "new/deeper/policy.pub");
    // By default it is the user's own.
    check(home.path(), &["keygen"], 0);
    assert_eq!(names(&home.path().join(".local/share/outcall/signing")), ["policy.key", "policy.pub"]);
}

#[test]
fn a_key_is_never_overwritten_and_never_half_there() {
    for name in ["policy.key", "policy.pub"] {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join(name), "precious").unwrap();
        refused(home.path(), &["keygen", "--out", "."], 1, &format!("{name} exists, and is not overwritten"));
        assert_eq!(names(home.path()), [name]);
        assert_eq!(fs::read_to_string(home.path().join(name)).unwrap(), "precious");
    }
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("there")).unwrap();
    for directory in ["there", "new"] {
        for (signal, status) in [("trap '' XFSZ;", Some(2)), ("", None)] {
            let script = format!("{signal} ulimit -f 0; exec \"$0\" keygen --out {directory}");
            let mut command = Command::new("/bin/sh");
            command.args(["-c", &script, env!("CARGO_BIN_EXE_outcall")]).current_dir(home.path());
            assert_eq!(command.output().unwrap().status.code(), status);
        }
        assert!(!home.path().join(directory).join("policy.key").exists());
        check(home.path(), &["keygen", "--out", directory], 0);
        assert_eq!(names(&home.path().join(directory)), ["policy.key", "policy.pub"]);
    }
    assert_eq!(names(home.path()), ["new", "there"], "and what was left is gone");
}

#[test]
fn what_is_signed_is_accepted_by_who_trusts_the_key_and_by_openssl() {
    let home = home();
    assert!(check(home.path(), &["inspect", "dist"], 0).0.contains("signed by   nobody"));
    refused(home.path(), &["inspect", "dist", "--trust", "one/policy.pub"], 1, "manifest.sig: there is no such file");
    let (told, _) = check(home.path(), &["sign", "dist", "--key", "one/policy.key"], 0);
    assert!(told.starts_with("Signed the policy sha256:") && told.contains("by the key        sha256:"), "{told}");
    assert_eq!(names(&home.path().join("dist")).len(), 5);
    assert_eq!(mode(home.path().join("dist/manifest.sig")), mode(home.path().join("dist/manifest.json")) & 0o666);
    for artifact in ["manifest", "nft", "dns", "proxy"] {
        check(home.path(), &["inspect", "dist", artifact, "--trust", "one/policy.pub"], 0);
        let other = ["inspect", "dist", artifact, "--trust", "two/policy.pub"];
        refused(home.path(), &other, 1, "manifest.sig: it has no signature by a trusted key");
    }
    assert!(check(home.path(), &["inspect", "dist"], 0).0.contains("(not checked: `--trust` names the public key)"));

    // Anybody can make and check it with other tools.
    let text = fs::read_to_string(home.path().join("dist/manifest.sig")).unwrap();
    let hex = text.trim_end().rsplit(' ').next().unwrap();
    let signature: Vec<u8> = (0..64).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect();
    let manifest = fs::read(home.path().join("dist/manifest.json")).unwrap();
    fs::write(home.path().join("sig"), signature).unwrap();
    fs::write(home.path().join("signed"), [b"outcall-manifest-signature-v1\0", &manifest[..]].concat()).unwrap();
    let verify = ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "one/policy.pub", "-sigfile", "sig", "-in"];
    assert!(openssl(home.path(), &[&verify[..], &["signed"]].concat()).0);
    assert!(!openssl(home.path(), &[&verify[..], &["dist/manifest.json"]].concat()).0, "the context counts");
}

#[test]
fn keys_that_openssl_made_sign_and_several_may() {
    let home = home();
    assert!(openssl(home.path(), &["genpkey", "-algorithm", "ed25519", "-out", "theirs"]).0);
    assert!(openssl(home.path(), &["pkey", "-in", "theirs", "-pubout", "-out", "theirs.pub"]).0);
    fs::set_permissions(home.path().join("theirs"), Permissions::from_mode(0o600)).unwrap();
    let sign = ["sign", "dist", "--json", "--key", "theirs", "--key", "one/policy.key", "--key", "theirs"];
    let told: Value = serde_json::from_str(&check(home.path(), &sign, 0).0).unwrap();
    assert_eq!(told["keys"].as_array().unwrap().len(), 2);
    for key in ["theirs.pub", "one/policy.pub"] {
        check(home.path(), &["inspect", "dist", "--trust", key], 0);
        check(home.path(), &["inspect", "dist", "--trust-key", "two/policy.pub", "--trust-key", key], 0);
    }
}

#[test]
fn a_policy_that_was_compiled_again_must_be_signed_again() {
    let home = home();
    check(home.path(), &["sign", "dist", "--key", "one/policy.key"], 0);
    check(home.path(), &["compile", "a.yaml", "-o", "dist"], 0);
    check(home.path(), &["inspect", "dist", "--trust", "one/policy.pub"], 0);
    fs::write(home.path().join("a.yaml"), RULES.replace("docs.", "other.")).unwrap();
    check(home.path(), &["compile", "a.yaml", "-o", "dist"], 0);
    refused(home.path(), &["inspect", "dist", "--trust", "one/policy.pub"], 1, "is not one of this manifest.json");
    check(home.path(), &["sign", "dist", "--key", "one/policy.key"], 0);
    check(home.path(), &["inspect", "dist", "--trust", "one/policy.pub"], 0);
}

#[test]
fn what_cannot_be_signed_or_trusted_is_refused_and_changes_nothing() {
    let home = home();
    let path = |name: &str| home.path().join(name);
    for (key, status, expected) in [
        ("nowhere", 2, "cannot read nowhere"),
        ("one", 2, "no regular file"),
        ("one/policy.pub", 2, "broader than 0600"),
        ("rsa", 1, "not one of Ed25519"),
        ("public", 1, "does not hold exactly one private key"),
        ("open", 2, "its mode is 0644, broader than 0600"),
    ] {
        match key {
            "rsa" => assert!(openssl(home.path(), &["genpkey", "-algorithm", "rsa", "-out", "rsa"]).0),
            "public" => drop(fs::copy(path("one/policy.pub"), path(key)).unwrap()),
            "open" => drop(fs::copy(path("one/policy.key"), path(key)).unwrap()),
            _ => {}
        }
        if path(key).is_file() {
            let mode = if key == "open" || key.contains('/') { 0o644 } else { 0o600 };
            fs::set_permissions(path(key), Permissions::from_mode(mode)).unwrap();
        }
        refused(home.path(), &["sign", "dist", "--key", "two/policy.key", "--key", key], status, expected);
    }
    for name in ["outcall.nft", "dns.table", "proxy.prog", "manifest.json"] {
        let whole = fs::read(path("dist").join(name)).unwrap();
        fs::write(path("dist").join(name), &whole[..whole.len() - 1]).unwrap();
        refused(home.path(), &["sign", "dist", "--key", "one/policy.key"], 1, &format!("{name}: "));
        fs::write(path("dist").join(name), whole).unwrap();
    }
    check(home.path(), &["sign", "dist"], 2);
    refused(home.path(), &["sign", "nowhere", "--key", "one/policy.key"], 2, "cannot read nowhere/manifest.json");
    assert_eq!(names(&path("dist")).len(), 4, "nothing was signed");
    check(home.path(), &["sign", "dist", "--key", "one/policy.key"], 0);
    for (key, status, expected) in [
        ("nowhere", 2, "cannot read nowhere"),
        ("one/policy.key", 1, "name the file that ends in .pub"),
        ("dist/manifest.json", 1, "something else than public keys"),
    ] {
        refused(home.path(), &["inspect", "dist", "--trust", key], status, expected);
    }
    fs::write(path("dist/manifest.sig"), "").unwrap();
    refused(home.path(), &["inspect", "dist"], 1, "manifest.sig: it is not a file of signatures");
}
