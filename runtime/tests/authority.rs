//! The authority's files as the operator leaves them, and what this process keeps to itself once it has a key. A program of
//! its own: what is given up here does not come back.
#![expect(clippy::unwrap_used, reason = "a test stops where its fixtures cannot be set up")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use outcall_runtime::intercept::{Files, LeafTtl, Leaves, authority};
use outcall_schema::ca::{Algorithm, Authority, Wanted};
use outcall_schema::host::Host;

fn made(now: SystemTime) -> Authority {
    Authority::make(&Wanted { algorithm: Algorithm::EcdsaP256, domains: Vec::new(), now }).unwrap()
}

/// A directory with an authority of this time in it.
fn home(now: SystemTime) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let authority = made(now);
    fs::write(home.path().join("ca.crt"), authority.certificate.to_pem()).unwrap();
    fs::write(home.path().join("ca.key"), authority.key.to_pem().unwrap().as_bytes()).unwrap();
    fs::set_permissions(home.path().join("ca.key"), Permissions::from_mode(0o600)).unwrap();
    home
}

fn files(home: &Path) -> Files {
    Files::named(Some(home.join("ca.crt")), Some(home.join("ca.key"))).unwrap().unwrap()
}

#[track_caller]
fn check_refused(files: &Files, expected: &str) {
    let error = files.load().unwrap_err().to_string();
    assert!(error.contains(expected), "{error}\nis not about: {expected}");
}

#[test]
fn an_authority_is_loaded_and_signs() {
    let home = home(SystemTime::now());
    let issuer = files(home.path()).load().unwrap();
    let leaves = Leaves::new(issuer, LeafTtl::default()).unwrap();
    let leaf = leaves.leaf(&Host::parse("a.example").unwrap()).unwrap();
    assert_eq!(leaf.certified_key().cert.len(), 1);
    assert!(leaf.certified_key().keys_match().is_ok());
    // Nothing that was read tells of the key's file any more.
    assert!(
        !fs::read_dir("/proc/self/fd")
            .unwrap()
            .any(|fd| { fs::read_link(fd.unwrap().path()).is_ok_and(|target| target.ends_with("ca.key")) })
    );
}

#[test]
fn one_file_without_the_other_is_refused() {
    let path = || Some(PathBuf::from("x"));
    assert_eq!(Files::named(None, None).unwrap(), None);
    for (certificate, key, expected) in
        [(path(), None, "--ca-cert needs --ca-key"), (None, path(), "--ca-key needs --ca-cert")]
    {
        let error = Files::named(certificate, key).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_key_that_others_reach_is_refused() {
    let home = home(SystemTime::now());
    let key = home.path().join("ca.key");
    for mode in [0o644, 0o640, 0o604, 0o620, 0o700, 0o660, 0o777] {
        fs::set_permissions(&key, Permissions::from_mode(mode)).unwrap();
        check_refused(&files(home.path()), "broader than 0600");
    }
    // The mode of what a link leads to counts, not the link's, which is 0777 always.
    let real = home.path().join("real");
    fs::rename(&key, &real).unwrap();
    symlink(&real, &key).unwrap();
    check_refused(&files(home.path()), "broader than 0600");
    for mode in [0o600, 0o400] {
        fs::set_permissions(&real, Permissions::from_mode(mode)).unwrap();
        files(home.path()).load().unwrap();
    }
}

#[test]
fn what_is_no_file_is_refused_without_waiting() {
    let home = home(SystemTime::now());
    for name in ["ca.crt", "ca.key"] {
        let path = home.path().join(name);
        let kept = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        check_refused(&files(home.path()), "No such file");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        check_refused(&files(home.path()), "no regular file");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        check_refused(&files(home.path()), "no regular file");
        fs::remove_dir(&path).unwrap();
        symlink("/dev/zero", &path).unwrap();
        check_refused(&files(home.path()), "no regular file");
        fs::remove_file(&path).unwrap();
        fs::write(&path, vec![b' '; 65 << 10]).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        check_refused(&files(home.path()), "larger than");
        fs::write(&path, b"\xff").unwrap();
        check_refused(&files(home.path()), "not text");
        fs::write(&path, kept).unwrap();
        files(home.path()).load().unwrap();
    }
}

#[test]
fn what_does_not_belong_together_or_is_no_authority_is_refused() {
    let (home, other) = (home(SystemTime::now()), home(SystemTime::now()));
    let mixed = Files::named(Some(home.path().join("ca.crt")), Some(other.path().join("ca.key"))).unwrap().unwrap();
    check_refused(&mixed, "not that of the certificate");
    let swapped = Files::named(Some(home.path().join("ca.key")), Some(home.path().join("ca.key"))).unwrap().unwrap();
    check_refused(&swapped, "holds a private key");
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    fs::write(home.path().join("ca.crt"), leaf.pem()).unwrap();
    fs::write(home.path().join("ca.key"), key.serialize_pem()).unwrap();
    check_refused(&files(home.path()), "CA:TRUE");
}

#[test]
fn an_authority_out_of_its_time_is_refused() {
    const YEAR: Duration = Duration::from_secs(366 * 86_400);
    let now = SystemTime::now();
    check_refused(&files(home(now - YEAR * 11).path()), "has expired at");
    check_refused(&files(home(now + YEAR).path()), "not valid before");
}

#[test]
fn an_authority_for_one_run_is_new_each_time() {
    let (one, two) = (authority::for_one_run().unwrap(), authority::for_one_run().unwrap());
    assert_ne!(one.certificate().fingerprint(), two.certificate().fingerprint());
}

#[test]
fn with_a_key_this_process_leaves_no_core_and_cannot_be_looked_into() {
    authority::for_one_run().unwrap();
    let dumpable = rustix::process::dumpable_behavior().unwrap();
    assert_eq!(dumpable, rustix::process::DumpableBehavior::NotDumpable);
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"]);
}
