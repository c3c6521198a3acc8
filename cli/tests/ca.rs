//! `outcall ca` as a shell and `openssl` see it: which files appear with which modes, what is in them, and what is refused.
#![expect(clippy::unwrap_used, reason = "a test stops where its fixtures cannot be set up")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

#[track_caller]
fn check(home: &Path, arguments: &[&str], status: i32) -> (String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outcall"));
    command.arg("ca").args(arguments).current_dir(home).env_clear().env("HOME", home).stdin(Stdio::null());
    let output = command.output().unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(status), "{arguments:?}\n{stdout}\n{stderr}");
    (stdout, stderr)
}

#[track_caller]
fn json(home: &Path, arguments: &[&str], status: i32) -> Value {
    serde_json::from_str(&check(home, arguments, status).0).unwrap()
}

/// What openssl says, without line ends.
#[track_caller]
fn openssl(home: &Path, arguments: &[&str]) -> String {
    let output = Command::new("openssl").args(arguments).current_dir(home).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn mode(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(directory).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn home() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn an_authority_is_made_as_openssl_would_have_it() {
    let home = home();
    let days = 24 * 3600 * 3650;
    for (name, algorithm, kind) in
        [("rsa", None, "Public-Key: (4096 bit)"), ("ecdsa", Some("ecdsa"), "ASN1 OID: secp384r1")]
    {
        let mut arguments = vec!["init", "--out", name];
        arguments.extend(algorithm.iter().flat_map(|algorithm| ["--algorithm", algorithm]));
        let (stdout, _) = check(home.path(), &arguments, 0);
        let (crt, key) = (format!("{name}/ca.crt"), format!("{name}/ca.key"));
        assert_eq!(names(&home.path().join(name)), ["ca.crt", "ca.key"]);
        assert_eq!((mode(home.path().join(&crt)), mode(home.path().join(&key))), (0o644, 0o600));
        let fingerprint = openssl(home.path(), &["x509", "-in", &crt, "-noout", "-fingerprint", "-sha256"]);
        let digits = fingerprint.split_once('=').unwrap().1;
        assert!(stdout.contains(&format!("SHA-256 fingerprint: {digits}\n")), "{stdout}\n{fingerprint}");
        let text = openssl(home.path(), &["x509", "-in", &crt, "-noout", "-text"]);
        for expected in [
            kind,
            "X509v3 Basic Constraints: critical\n                CA:TRUE, pathlen:0\n",
            "X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign\n",
            "X509v3 Subject Key Identifier: \n",
        ] {
            assert!(text.contains(expected), "{text}\nis without: {expected}");
        }
        assert!(!text.contains("Name Constraints"), "{text}");
        let ten_years = ["x509", "-in", &crt, "-noout", "-checkend", &days.to_string()];
        assert!(openssl(home.path(), &ten_years).contains("will not expire"));
        assert!(openssl(home.path(), &["verify", "-x509_strict", "-CAfile", &crt, &crt]).ends_with("OK"));
        let of_certificate = openssl(home.path(), &["x509", "-in", &crt, "-noout", "-pubkey"]);
        assert_eq!(openssl(home.path(), &["pkey", "-in", &key, "-pubout"]), of_certificate);
        assert_eq!(openssl(home.path(), &["pkey", "-in", &key, "-check", "-noout"]), "Key is valid");
    }
}

#[test]
fn constraints_on_names_hold_for_what_is_signed() {
    let home = home();
    let constraints = ["--name-constraint", "example.com", "--name-constraint", "b.test"];
    check(home.path(), &[&["init", "--out", "ca", "--algorithm", "ecdsa"], &constraints[..]].concat(), 0);
    let text = openssl(home.path(), &["x509", "-in", "ca/ca.crt", "-noout", "-text"]);
    for expected in ["Name Constraints: critical", "DNS:example.com", "DNS:b.test", "IP:0.0.0.0/0.0.0.0"] {
        assert!(text.contains(expected), "{text}\nis without: {expected}");
    }
    for (name, fine) in [
        ("DNS:example.com", true),
        ("DNS:a.b.example.com", true),
        ("DNS:example.org", false),
        ("IP:192.0.2.1", false),
        ("IP:2001:db8::1", false),
    ] {
        fs::write(home.path().join("ext"), format!("subjectAltName={name}\n")).unwrap();
        let request = ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        openssl(home.path(), &[&request[..], &["-keyout", "leaf.key", "-out", "leaf.csr", "-subj", "/O=x"]].concat());
        let sign = ["x509", "-req", "-in", "leaf.csr", "-CA", "ca/ca.crt", "-CAkey", "ca/ca.key"];
        openssl(home.path(), &[&sign[..], &["-extfile", "ext", "-out", "leaf.crt"]].concat());
        let verified = Command::new("openssl")
            .args(["verify", "-CAfile", "ca/ca.crt", "leaf.crt"])
            .current_dir(home.path())
            .output()
            .unwrap();
        assert_eq!(verified.status.success(), fine, "{name}: {}", String::from_utf8_lossy(&verified.stderr));
    }
    for domain in ["*.example.com", "192.0.2.1", "", "a b"] {
        let (_, stderr) = check(home.path(), &["init", "--out", "other", "--name-constraint", domain], 2);
        assert!(stderr.contains("is not a domain"), "{stderr}");
    }
    assert!(!home.path().join("other").exists());
}

#[test]
fn nothing_is_overwritten() {
    for name in ["ca.crt", "ca.key"] {
        let home = home();
        fs::write(home.path().join(name), "precious").unwrap();
        for arguments in [["init", "--out", "."].as_slice(), &["init", "--out", ".", "--algorithm", "ecdsa"]] {
            let (_, stderr) = check(home.path(), arguments, 1);
            assert!(stderr.contains(&format!("{name} exists, and is not overwritten")), "{stderr}");
        }
        assert_eq!(names(home.path()), [name]);
        assert_eq!(fs::read_to_string(home.path().join(name)).unwrap(), "precious");
    }
}

#[test]
fn both_files_appear_or_neither_when_writing_fails_or_the_process_is_killed() {
    let home = home();
    fs::create_dir(home.path().join("there")).unwrap();
    for (signal, status) in [("trap '' XFSZ;", Some(2)), ("", None)] {
        for directory in ["new", "there"] {
            let script = format!("{signal} ulimit -f 0; exec \"$0\" ca init --algorithm ecdsa --out {directory}");
            let output = Command::new("/bin/sh")
                .args(["-c", &script, env!("CARGO_BIN_EXE_outcall")])
                .current_dir(home.path())
                .output()
                .unwrap();
            assert_eq!(output.status.code(), status, "{}", String::from_utf8_lossy(&output.stderr));
            let directory = home.path().join(directory);
            assert!(!directory.join("ca.crt").exists() && !directory.join("ca.key").exists());
        }
    }
    assert!(!home.path().join("new").exists());
    assert_eq!(names(home.path()).len(), 2, "what the killed process left");
    for directory in ["new", "there"] {
        check(home.path(), &["init", "--algorithm", "ecdsa", "--out", directory], 0);
        assert_eq!(names(&home.path().join(directory)), ["ca.crt", "ca.key"]);
    }
    assert_eq!(names(home.path()), ["new", "there"], "and it is gone");
}

#[test]
fn a_directory_that_cannot_be_written_is_an_error() {
    let home = home();
    fs::write(home.path().join("file"), "").unwrap();
    for directory in ["file", "file/deeper", "/proc/nowhere"] {
        let (_, stderr) = check(home.path(), &["init", "--algorithm", "ecdsa", "--out", directory], 2);
        assert!(stderr.contains("cannot write to"), "{stderr}");
    }
}

#[test]
fn without_an_authority_the_exit_status_says_so() {
    let home = home();
    for command in ["bundle", "status", "rotate", "retire"] {
        let (stdout, stderr) = check(home.path(), &[command, "--dir", "nowhere"], 6);
        assert_eq!(stdout, "");
        assert!(stderr.contains("no certificate authority in nowhere"), "{stderr}");
    }
    check(home.path(), &["status", "--json", "--dir", "nowhere"], 6);
}

#[test]
fn the_default_directory_is_the_users_own() {
    let home = home();
    // Root's is the system's, which a test does not touch.
    let Some(command) = unprivileged(home.path()) else { return check_default(home.path()) };
    let output = { command }.args(["ca", "init", "--algorithm", "ecdsa"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(names(&home.path().join(".local/share/outcall/ca")), ["ca.crt", "ca.key"]);
}

fn check_default(home: &Path) {
    check(home, &["init", "--algorithm", "ecdsa"], 0);
    assert_eq!(names(&home.join(".local/share/outcall/ca")), ["ca.crt", "ca.key"]);
}

/// The command as `nobody`, when this is root.
fn unprivileged(home: &Path) -> Option<Command> {
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65534;
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return None;
    }
    fs::set_permissions(home, fs::Permissions::from_mode(0o777)).unwrap();
    let program = home.join("outcall");
    // In a process of its own: whatever another thread starts while this one has the file open for writing has it open as
    // well, until it has become another program, and the kernel starts nothing that somebody may write to (ETXTBSY).
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_outcall")).arg(&program).status().unwrap();
    assert!(copied.success());
    let mut command = Command::new(program);
    command.uid(NOBODY).gid(NOBODY).env_clear().env("HOME", home).current_dir(home);
    Some(command)
}

#[test]
fn status_says_what_there_is_and_whether_it_can_be_used() {
    let home = home();
    let made = json(home.path(), &["init", "--json", "--algorithm", "ecdsa", "--out", "ca"], 0);
    let status = json(home.path(), &["status", "--json", "--dir", "ca"], 0);
    for key in ["subject", "fingerprint_sha256", "not_before", "not_after"] {
        assert_eq!(status[key], made[key], "{key}");
        assert!(status[key].is_string());
    }
    assert_eq!(status["loaded"], true);
    for key in ["leaf_cache_size", "leaf_cache_max", "next", "problem"] {
        assert!(status.get(key).unwrap().is_null(), "{key}");
    }
    let (text, _) = check(home.path(), &["status", "--dir", "ca"], 0);
    assert!(text.contains(made["fingerprint_sha256"].as_str().unwrap()) && text.ends_with("can be used\n"), "{text}");

    let key = home.path().join("ca/ca.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    let status = json(home.path(), &["status", "--json", "--dir", "ca"], 1);
    assert_eq!(status["loaded"], false);
    assert!(status["problem"].as_str().unwrap().contains("its mode is 0640, broader than 0600"), "{status}");
    fs::remove_file(&key).unwrap();
    assert!(check(home.path(), &["status", "--dir", "ca"], 1).0.contains("ca.key is missing"));
    check(home.path(), &["init", "--algorithm", "ecdsa", "--out", "other"], 0);
    fs::copy(home.path().join("other/ca.key"), &key).unwrap();
    assert!(check(home.path(), &["status", "--dir", "ca"], 1).0.contains("is not that of the certificate"));
    fs::write(home.path().join("ca/ca.crt"), "nonsense").unwrap();
    check(home.path(), &["status", "--dir", "ca"], 1);
    check(home.path(), &["bundle", "--dir", "ca"], 1);
}

#[test]
fn a_key_in_the_certificates_file_is_never_printed() {
    let home = home();
    check(home.path(), &["init", "--algorithm", "ecdsa", "--out", "ca"], 0);
    let text = ["ca/ca.crt", "ca/ca.key"].map(|name| fs::read_to_string(home.path().join(name)).unwrap()).concat();
    fs::write(home.path().join("ca/ca.crt"), text).unwrap();
    let (stdout, stderr) = check(home.path(), &["bundle", "--dir", "ca"], 1);
    assert_eq!(stdout, "");
    assert!(stderr.contains("holds a private key"), "{stderr}");
}

#[test]
fn a_rotation_keeps_both_until_the_old_one_is_retired() {
    let home = home();
    let dir = ["--dir", "ca"];
    let init = ["init", "--json", "--algorithm", "ecdsa", "--name-constraint", "example.com", "--out", "ca"];
    let old = json(home.path(), &init, 0);
    let (_, stderr) = check(home.path(), &["retire", "--dir", "ca"], 1);
    assert!(stderr.contains("run `outcall ca rotate` first"), "{stderr}");
    let bundle = |expected: &[&Value]| {
        let (text, _) = check(home.path(), &[&["bundle"], &dir[..]].concat(), 0);
        let blocks: Vec<&str> = text.split_inclusive("-----END CERTIFICATE-----\n").collect();
        assert_eq!(blocks.len(), expected.len(), "{text}");
        for (block, expected) in blocks.iter().zip(expected) {
            fs::write(home.path().join("one.crt"), block).unwrap();
            let fingerprint = openssl(home.path(), &["x509", "-in", "one.crt", "-noout", "-fingerprint", "-sha256"]);
            assert!(fingerprint.ends_with(expected["fingerprint_sha256"].as_str().unwrap()), "{fingerprint}");
        }
    };
    bundle(&[&old]);
    let new = json(home.path(), &["rotate", "--json", "--dir", "ca"], 0);
    assert_ne!(old["subject"], new["subject"]);
    bundle(&[&old, &new]);
    assert_eq!(names(&home.path().join("ca")), ["ca-next.crt", "ca-next.key", "ca.crt", "ca.key"]);
    assert_eq!(mode(home.path().join("ca/ca-next.key")), 0o600);
    let text = openssl(home.path(), &["x509", "-in", "ca/ca-next.crt", "-noout", "-text"]);
    assert!(text.contains("DNS:example.com") && text.contains("secp384r1"), "it is of the old one's kind: {text}");
    let status = json(home.path(), &["status", "--json", "--dir", "ca"], 0);
    assert_eq!(
        (&status["fingerprint_sha256"], &status["next"]["subject"]),
        (&old["fingerprint_sha256"], &new["subject"])
    );
    let (_, stderr) = check(home.path(), &["rotate", "--dir", "ca"], 1);
    assert!(stderr.contains("ca-next.crt exists") && stderr.contains("outcall ca retire"), "{stderr}");

    // An interruption after the first of the two steps.
    let both = ["ca/ca-next.key", "ca/ca.key"].map(|name| home.path().join(name));
    fs::rename(&both[0], &both[1]).unwrap();
    assert!(check(home.path(), &["status", "--dir", "ca"], 1).0.contains("was interrupted, run it again"));
    check(home.path(), &["retire", "--dir", "ca"], 0);
    bundle(&[&new]);
    assert_eq!(names(&home.path().join("ca")), ["ca.crt", "ca.key"]);
    assert_eq!(json(home.path(), &["status", "--json", "--dir", "ca"], 0)["loaded"], true);

    let third = json(home.path(), &["rotate", "--json", "--algorithm", "rsa", "--dir", "ca"], 0);
    check(home.path(), &["retire", "--dir", "ca"], 0);
    bundle(&[&third]);
}
